-- Ends what waited too long for its outcome, and failed calls that no redial followed.
--
-- ARGV  1 source   2 outcome timeout ms   3 the most to end   4 when the export began that showed nothing, ms
-- Answer  {{id, state, campaign}, …}
--
-- Invariants: that no redial came is known only from an export that began after its window; `undetermined` says that
-- the outcome is not known, and a later row may still settle it.

local answer = {}
local source = P .. 'open:' .. ARGV[1]
local redials = P .. 'redials:' .. ARGV[1]
for _, id in ipairs(redis.call('ZRANGEBYSCORE', redials, '-inf', ARGV[4], 'LIMIT', 0, ARGV[3])) do
  local m = read(id, 's', 'pf', 'so', 'ca')
  redis.call('ZREM', redials, id)
  if m[1] == 'submitted' and m[2] then
    redis.call('ZREM', P .. 'open:' .. m[3], id)
    redis.call('HDEL', P .. 'm:' .. id, 'pf')
    finish(id, 'failed', m[2])
    answer[#answer + 1] = { id, 'failed', m[4] }
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', source, '-inf', NOW - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[3])) do
  local m = read(id, 's', 'pf', 'ca')
  if m[1] ~= 'submitted' then
    redis.call('ZREM', source, id)
  elseif not m[2] then
    redis.call('ZREM', source, id)
    finish(id, 'undetermined', 'no_outcome')
    answer[#answer + 1] = { id, 'undetermined', m[3] }
  end
end
return answer
