-- Gives the right to make an account's token back, when making it failed or was not needed.
--
-- ARGV  1 account   2 lock owner
-- Answer  1 | 0: the right is another's by now
--
-- Invariant: nobody ends another's right.

local key = P .. 'making:' .. ARGV[1]
if redis.call('GET', key) ~= ARGV[2] then return 0 end
return redis.call('DEL', key)
