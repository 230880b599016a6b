-- Takes members that cannot be opened out of a batch: they wait queued, for a worker that has their key or their end.
--
-- ARGV  1 batch   2… ids
-- Answer  {'left', members that are left} | {'lost'}: the batch is not this worker's any more, nothing was changed
--
-- Invariants: only of a batch that is leased, so nothing was sent. What is set aside stands in nobody's way: it is due
-- again after half its age, and takes no room of the hour, and is not the probe of a campaign that is held.

local batch = ARGV[1]
local key = P .. 'b:' .. batch
local b = redis.call('HMGET', key, 'st', 'ca', 'ac', 'pr')
if b[1] ~= 'leased' then return { 'lost' } end

local unopened = {}
for i = 2, #ARGV do unopened[ARGV[i]] = true end
local left = {}
for _, id in ipairs(members_of(batch)) do
  if unopened[id] then
    local m = read(id, 'n', 'at')
    move(id, 'queued')
    redis.call('HDEL', P .. 'm:' .. id, 'bt')
    enqueue(id, NOW + math.floor(math.min(math.max((NOW - tonumber(m[2])) / 2, 500), 30000)))
    release_number(b[3], m[1], id)
  else
    left[#left + 1] = id
  end
end

if #left > 0 then
  redis.call('HSET', key, 'ms', table.concat(left, ' '), 'n', #left)
else
  local hold = P .. 'hold:' .. b[2]
  if b[4] == '1' and redis.call('HEXISTS', hold, 'reason') == 1 then redis.call('HSET', hold, 'next', NOW) end
  end_lease(batch, b[2])
  redis.call('DEL', key)
end
return { 'left', #left }
