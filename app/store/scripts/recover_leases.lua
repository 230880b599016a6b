-- Takes leases from workers that are gone: what is overdue, and what was only leased by one whose heartbeat stopped.
--
-- ARGV  1 the most batches to take
-- Answer  {{batch, campaign, 'requeued' | 'ambiguous', members}, …}
--
-- Invariant: what was only leased was never sent, and is queued again; what was being sent may have been taken, and
-- becomes ambiguous: never a blind retry, and not before its lease is over, for a worker that was only stopped may
-- write its import until then.

local gone = redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', NOW, 'LIMIT', 0, ARGV[1])
for _, batch in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '(' .. NOW, '+inf', 'LIMIT', 0, 1000)) do
  local b = redis.call('HMGET', P .. 'b:' .. batch, 'st', 'w')
  if #gone < tonumber(ARGV[1]) and b[1] == 'leased' and not is_alive(b[2]) then gone[#gone + 1] = batch end
end

local answer = {}
for _, batch in ipairs(gone) do
  local key = P .. 'b:' .. batch
  local b = redis.call('HMGET', key, 'st', 'ca', 'ac', 'at', 'so')
  if not b[1] then
    redis.call('ZREM', P .. 'leases', batch)
  else
    local ids = members_of(batch)
    for _, id in ipairs(ids) do
      local number = redis.call('HGET', P .. 'm:' .. id, 'n')
      if b[1] == 'leased' then
        move(id, 'queued')
        redis.call('HDEL', P .. 'm:' .. id, 'bt')
        note(id, 'requeued', 'its worker went away before the import')
        enqueue(id, tonumber(redis.call('HGET', P .. 'm:' .. id, 'du')))
        release_number(b[3], number, id)
      else
        redis.call('HSET', P .. 'm:' .. id, 'am', '1')
        note(id, 'import ambiguous', 'its worker went away during the import')
      end
    end
    end_lease(batch, b[2])
    if b[1] == 'leased' then
      redis.call('DEL', key)
      answer[#answer + 1] = { batch, b[2], 'requeued', #ids }
    else
      redis.call('HSET', key, 'st', 'ambiguous')
      redis.call('ZADD', P .. 'ambiguous:' .. b[5], b[4], batch)
      answer[#answer + 1] = { batch, b[2], 'ambiguous', #ids }
    end
  end
end
return answer
