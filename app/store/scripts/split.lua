-- Cuts a batch that was refused as a whole in two, so that the contact at fault can be found.
--
-- ARGV  1 batch   2, 3 the halves' ids   4 lease ms   5 '1': also remember to make smaller batches   6 for how long, ms
-- Answer  {'split', {ids of the first}, {ids of the second}} | {'lost'}
--
-- Invariant: only a batch of which nothing was taken is split; its members stay `submitting`, their numbers claimed, and
-- they count as leased.

local batch = ARGV[1]
local key = P .. 'b:' .. batch
local b = redis.call('HMGET', key, 'st', 'ca', 'ac', 'pc', 'url', 'so', 'w', 'hm')
if b[1] ~= 'sending' then return { 'lost' } end

local ids = members_of(batch)
local cut = math.floor(#ids / 2)
local halves = { {}, {} }
for i, id in ipairs(ids) do
  local half = halves[i <= cut and 1 or 2]
  half[#half + 1] = id
  forget_import(id, batch)
end
uncount_calls(b[2], b[8], #ids)
redis.call('ZREM', P .. 'leases', batch)
redis.call('SREM', P .. 'under_way:' .. b[2], batch)
redis.call('DEL', key)
for i = 1, 2 do
  local half = ARGV[1 + i]
  redis.call('HSET', P .. 'b:' .. half, 'st', 'leased', 'ca', b[2], 'ac', b[3], 'pc', b[4], 'url', b[5], 'so', b[6],
    'ms', table.concat(halves[i], ' '), 'n', #halves[i], 'w', b[7] or '')
  redis.call('ZADD', P .. 'leases', NOW + tonumber(ARGV[4]), half)
  redis.call('SADD', P .. 'under_way:' .. b[2], half)
  for _, id in ipairs(halves[i]) do redis.call('HSET', P .. 'm:' .. id, 'bt', half) end
end
if ARGV[5] == '1' then redis.call('SET', P .. 'smaller:' .. b[2], math.max(cut, 1), 'PX', ARGV[6]) end
return { 'split', halves[1], halves[2] }
