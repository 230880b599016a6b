-- Gives a batch that waits for its turn its lease anew.
--
-- ARGV  1 batch   2 lease ms
-- Answer  1 | 0: the lease is lost, or the batch is not waiting any more
--
-- Invariant: a lease that has run out is never revived, for another may take the batch at any moment.

local batch = ARGV[1]
local deadline = tonumber(redis.call('ZSCORE', P .. 'leases', batch) or '0')
if deadline <= NOW or redis.call('HGET', P .. 'b:' .. batch, 'st') ~= 'leased' then return 0 end
redis.call('ZADD', P .. 'leases', NOW + tonumber(ARGV[2]), batch)
return 1
