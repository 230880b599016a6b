-- Gives up looking for an ambiguous import of which no export showed a row.
--
-- ARGV  1 batch   2 'retry' | 'give_up'   3 who judges, or '': must be who collects for the batch's source
-- Answer  {'reconciled', retried, undetermined} | {'lost'}: settled meanwhile, or another collects
--
-- Invariant: a message is imported again only by this move, only if the campaign allows it and it has not expired.

local batch = ARGV[1]
local key = P .. 'b:' .. batch
local b = redis.call('HMGET', key, 'st', 'ac', 'so')
if b[1] ~= 'ambiguous' then return { 'lost' } end
if ARGV[3] ~= '' and redis.call('GET', P .. 'collector:' .. b[3]) ~= ARGV[3] then return { 'lost' } end

local retried, undetermined = 0, 0
for _, id in ipairs(members_of(batch)) do
  local m = read(id, 's', 'ex', 'n', 'bt', 'du')
  if m[1] == 'submitting' and m[4] == batch then
    if ARGV[2] == 'retry' and tonumber(m[2]) > NOW then
      move(id, 'queued')
      redis.call('HDEL', P .. 'm:' .. id, 'bt')
      note(id, 'requeued', 'no export shows the ambiguous import')
      enqueue(id, tonumber(m[5]))
      release_number(b[2], m[3], id)
      wake(redis.call('HGET', P .. 'm:' .. id, 'ca'))
      retried = retried + 1
    else
      finish(id, 'undetermined', 'ambiguous_import')
      undetermined = undetermined + 1
    end
  end
end
redis.call('ZREM', P .. 'ambiguous:' .. b[3], batch)
redis.call('DEL', key)
return { 'reconciled', retried, undetermined }
