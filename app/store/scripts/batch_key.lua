-- What a batch's idempotency key stands for: reserved at the start, and its answer kept when all of it was told.
--
-- ARGV  1 client   2 idempotency hash   3 fingerprint   4 idempotency life in ms   5 sealed answer, or '': reserve
-- Answer  {'reserved'}  nobody finished this batch yet: go on; what was taken before is taken no second time
--         {'answered', sealed answer}  the first answer that was kept
--         {'conflict'}  the key was used with another body
--
-- Invariant: a key stands for one body, and the answer that was kept first is never replaced.

local key = P .. 'idem:' .. ARGV[1] .. ':' .. ARGV[2]
local known = redis.call('HMGET', key, 'f', 'a')
if known[1] and known[1] ~= ARGV[3] then return { 'conflict' } end
if known[2] then return { 'answered', known[2] } end
if not known[1] then
  redis.call('HSET', key, 'f', ARGV[3])
  redis.call('PEXPIRE', key, ARGV[4])
end
if ARGV[5] == '' then return { 'reserved' } end
redis.call('HSET', key, 'a', ARGV[5])
return { 'answered', ARGV[5] }
