-- Gives back, before its time is over, what one worker at a time does.
--
-- ARGV  1 duty: the key's name, less the prefix   2 worker
-- Answer  1 | 0: the duty is another's by now
--
-- Invariant: nobody ends another's duty.

local key = P .. ARGV[1]
if redis.call('GET', key) ~= ARGV[2] then return 0 end
return redis.call('DEL', key)
