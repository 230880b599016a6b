-- The intent before the effect: from here on this batch may have been imported.
--
-- ARGV  1 batch   2 lease ms (longer than the provider's timeout)   3 margin ms: a message that expires sooner stays behind
-- Answer  {'sending', sent_at_ms, {ids that go}}   the ids that stay behind are queued again, and expire there
--         {'lost'}                                 the lease ran out: nothing may be sent
--
-- Invariant: no import leaves of which Redis does not know the members, and none that is not counted.

local batch = ARGV[1]
local key = P .. 'b:' .. batch
local b = redis.call('HMGET', key, 'st', 'ca', 'ac', 'so')
local deadline = tonumber(redis.call('ZSCORE', P .. 'leases', batch) or '0')
if b[1] ~= 'leased' or deadline <= NOW then return { 'lost' } end

local going = {}
for _, id in ipairs(members_of(batch)) do
  local m = read(id, 'ex', 'n')
  if tonumber(m[1]) <= NOW + tonumber(ARGV[3]) then
    move(id, 'queued')
    redis.call('HDEL', P .. 'm:' .. id, 'bt')
    enqueue(id, NOW)
    release_number(b[3], m[2], id)
  else
    going[#going + 1] = id
    local list = imports_of(id)
    list[#list + 1] = { batch, NOW, '' }
    write_imports(id, list)
    redis.call('HSET', P .. 'm:' .. id, 'so', b[4])
    redis.call('ZADD', P .. 'calls:' .. b[3] .. ':' .. m[2], NOW, id)
    redis.call('PERSIST', P .. 'calls:' .. b[3] .. ':' .. m[2])
  end
end
if #going == 0 then
  end_lease(batch, b[2])
  redis.call('DEL', key)
else
  local minute = count_calls(b[2], #going, tonumber(ARGV[2]))
  redis.call('HSET', key, 'st', 'sending', 'at', NOW, 'ms', table.concat(going, ' '), 'n', #going, 'hm', minute)
  redis.call('ZADD', P .. 'leases', NOW + tonumber(ARGV[2]), batch)
end
return { 'sending', NOW, going }
