-- Wakes for a campaign, or for the pusher, whatever the flag of an earlier, perhaps lost, wake-up says.
--
-- ARGV  1 campaign, or '>push'
-- Answer  1
--
-- Invariant: at most one wake-up a campaign is ever waiting in the list.

redis.call('HDEL', P .. 'woken', ARGV[1])
wake(ARGV[1])
return 1
