-- The provider refused the account's secret key: nobody asks again before a pause that grows each time.
--
-- ARGV  1 account   2 first pause ms   3 longest pause ms   4 lock owner
-- Answer  {pause ms, refusals in a row}
--
-- Invariant: never a refresh storm.

local key = P .. 'locked:' .. ARGV[1]
local refusals = redis.call('HINCRBY', key, 'n', 1)
local pause = math.min(tonumber(ARGV[2]) * 2 ^ (refusals - 1), tonumber(ARGV[3]))
redis.call('HSET', key, 'until', NOW + pause)
redis.call('HSETNX', key, 'since', NOW)
redis.call('PEXPIRE', key, pause + 3600000)
if redis.call('GET', P .. 'making:' .. ARGV[1]) == ARGV[4] then redis.call('DEL', P .. 'making:' .. ARGV[1]) end
return { math.floor(pause), refusals }
