-- Keeps a new token for all workers, and ends the right to make it.
--
-- ARGV  1 account   2 sealed token   3 its expiry in ms by Redis' clock, or 0   4 lock owner
-- Answer  the token's generation
--
-- Invariant: a generation is never given twice.

local key = P .. 'token:' .. ARGV[1]
local generation = redis.call('HINCRBY', P .. 'generations', ARGV[1], 1)
redis.call('HSET', key, 't', ARGV[2], 'x', ARGV[3], 'g', generation, 'at', NOW)
redis.call('DEL', P .. 'locked:' .. ARGV[1])
if redis.call('GET', P .. 'making:' .. ARGV[1]) == ARGV[4] then redis.call('DEL', P .. 'making:' .. ARGV[1]) end
return generation
