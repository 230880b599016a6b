-- Puts an event into its destination's queue again, under the same id, with a fresh schedule.
--
-- ARGV  1 event   2 client, or '' for an operator   3 keep ms: how long its record must live for the new attempts
--       4 '', or the fingerprint of the admin key, when an operator's action is to be recorded   5 who   6 why
-- Answer  'queued' (also if it is waiting already) | 'unknown' | 'no callback'
--
-- Invariant: one client never replays another's event. An operator's replay is recorded in the same move, if there is one.

local event = ARGV[1]
local key = P .. 'e:' .. event
local e = redis.call('HMGET', key, 'cl', 'st', 'd', 'm')
if not e[1] or (ARGV[2] ~= '' and e[1] ~= ARGV[2]) or redis.call('EXISTS', P .. 'm:' .. e[4]) == 0 then return 'unknown' end
if e[2] == 'none' then return 'no callback' end
if e[2] == 'pending' then return 'queued' end
redis.call('HSET', key, 'st', 'pending', 'na', NOW, 'a', 0)
at_least(key, tonumber(ARGV[3]))
if redis.call('PTTL', P .. 'm:' .. e[4]) > 0 then at_least(P .. 'm:' .. e[4], tonumber(ARGV[3])) end
redis.call('ZREM', P .. 'dead:' .. e[1], event)
redis.call('ZADD', P .. 'pending:' .. e[1], NOW, event)
at_least(P .. 'pending:' .. e[1], tonumber(ARGV[3]))
redis.call('ZADD', P .. 'push:' .. e[3], NOW, event)
note(e[4], 'callback replayed', event)
reschedule(e[3])
wake_push()
if (ARGV[4] or '') ~= '' then
  record_action('replay_callback', redis.call('HGET', P .. 'm:' .. e[4], 'ca'), ARGV[5], ARGV[4], ARGV[6], event)
end
return 'queued'
