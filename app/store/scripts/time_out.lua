-- Ends what waited too long for its outcome, and failed calls that no redial followed.
--
-- ARGV  1 source   2 outcome timeout ms, of campaigns not named below   3 the most to end
--       4 sent since ms: what an export was lately asked for, or '-inf'   5 who collects for the source, or ''
--       6 how many to pass over, as the last answer said   7 when the export began that showed nothing, ms
--       8… pairs: campaign, its outcome timeout ms
-- Answer  {how many to pass over next time, or -1 when all were looked at, {id, state, campaign}, …}
--
-- Invariants: that no redial came is known only from an export that began after its window; `undetermined` says that
-- the outcome is not known, and a later row may still settle it. Only who collects for the source ends its messages.
-- What is not to be ended yet stands in nobody's way.

local most, pass, owner = tonumber(ARGV[3]), tonumber(ARGV[6]), ARGV[5]
if owner ~= '' and redis.call('GET', P .. 'collector:' .. ARGV[1]) ~= owner then return { -1 } end

local timeouts, shortest = {}, tonumber(ARGV[2])
for i = 8, #ARGV, 2 do
  timeouts[ARGV[i]] = tonumber(ARGV[i + 1])
  shortest = math.min(shortest, timeouts[ARGV[i]])
end

local answer = { -1 }
local redials = P .. 'redials:' .. ARGV[1]
for _, id in ipairs(redis.call('ZRANGEBYSCORE', redials, '-inf', ARGV[7], 'LIMIT', 0, most)) do
  local m = read(id, 's', 'pf', 'so', 'ca')
  redis.call('ZREM', redials, id)
  if m[1] == 'submitted' and m[2] then
    redis.call('ZREM', P .. 'open:' .. m[3], id)
    redis.call('HDEL', P .. 'm:' .. id, 'pf')
    finish(id, 'failed', m[2])
    answer[#answer + 1] = { id, 'failed', m[4] }
  end
end

local open = P .. 'open:' .. ARGV[1]
local waiting = redis.call('ZRANGEBYSCORE', open, ARGV[4], NOW - shortest, 'WITHSCORES', 'LIMIT', pass, most)
for i = 1, #waiting, 2 do
  local id, sent_ms = waiting[i], tonumber(waiting[i + 1])
  local m = read(id, 's', 'pf', 'ca')
  if m[1] ~= 'submitted' then
    redis.call('ZREM', open, id)
  elseif m[2] or sent_ms + (timeouts[m[3]] or tonumber(ARGV[2])) > NOW then
    pass = pass + 1
  else
    redis.call('ZREM', open, id)
    finish(id, 'undetermined', 'no_outcome')
    answer[#answer + 1] = { id, 'undetermined', m[3] }
  end
end
if #waiting == 2 * most then answer[1] = pass end
redis.call('ZREMRANGEBYSCORE', P .. 'late:' .. ARGV[1], '-inf', NOW - tonumber(ARGV[2]) - LATE_MS)
return answer
