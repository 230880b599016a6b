-- An operator ends a campaign's pause and its drain, and wakes its queue.
--
-- ARGV  1 campaign   2 who, or ''   3 the admin key's fingerprint   4 why
-- Answer  'done' | 'unchanged': it was neither paused nor drained
--
-- Invariant: the action is recorded in the same move, once. What holds the campaign besides (the provider, the
-- account, the ceiling) is not touched.

if redis.call('DEL', P .. 'pause:' .. ARGV[1], P .. 'drain:' .. ARGV[1]) == 0 then return 'unchanged' end
redis.call('HDEL', P .. 'woken', ARGV[1])
wake(ARGV[1])
record_action('resume', ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return 'done'
