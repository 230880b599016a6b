-- Takes due events for delivery, from every destination that has room, the longest waiting destination first.
--
-- ARGV  1 the most to take   2 slots per destination   3 lease ms   4 fence (unique to this claim)
--       5 the most that a client may hold, '' if there is no such bound
--       6 JSON {slots: {destination: its own number of slots}, held: {client: how many it holds already},
--               whole: what a client might hold if all were free}
-- Answer  {next_ms or -1, {event, destination, event record…, message record…, more}, …}
--         next_ms: when there will be more to do, by Redis' clock, in ms from now
--         more: 1 if the destination's slots were too few for what is due, else 0
--
-- Invariants: an event is leased to one worker at a time; a destination holds its own slots only; a destination whose
-- breaker is open gets one probe at a time; a client that holds its share gets nothing and keeps nobody else waiting,
-- and its destinations' slots shrink with what is left of it, so that each that comes finds some.

local most, slots, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local share = tonumber(ARGV[5]) or math.huge
local given = cjson.decode(ARGV[6])
local held = given.held
local FULL_PAUSE_MS = 250

local function part_left(queue)
  local event = share < math.huge and redis.call('ZRANGE', queue, 0, 0)[1]
  local client = event and redis.call('HGET', P .. 'e:' .. event, 'cl')
  return client and math.min(1, (share - (held[client] or 0)) / given.whole) or 1
end

redis.call('HDEL', P .. 'woken', '>push')

local answer, taken = { -1 }, 0
for _, destination in ipairs(redis.call('ZRANGEBYSCORE', P .. 'destinations', '-inf', NOW, 'LIMIT', 0, 200)) do
  if taken >= most then break end
  local queue, leased = P .. 'push:' .. destination, P .. 'pushing:' .. destination
  for _, event in ipairs(redis.call('ZRANGEBYSCORE', leased, '-inf', NOW)) do
    redis.call('ZREM', leased, event)
    redis.call('ZADD', queue, NOW, event)
  end
  local breaker = redis.call('HMGET', P .. 'breaker:' .. destination, 'open', 'next')
  local under_way = redis.call('ZCARD', leased)
  local part = part_left(queue)
  local own = math.ceil((given.slots[destination] or slots) * part) - under_way
  local room, full, first_taken = math.min(own, most - taken), part <= 0, #answer + 1
  if breaker[1] then
    room = (under_way == 0 and tonumber(breaker[2]) <= NOW) and math.min(room, 1) or 0
  end
  local events = room > 0 and redis.call('ZRANGEBYSCORE', queue, '-inf', NOW, 'LIMIT', 0, room) or {}
  for _, event in ipairs(events) do
    local key = P .. 'e:' .. event
    local e = redis.call('HMGET', key, 'm', 'ty', 'v', 'r', 'su', 'fi', 'k', 'at', 'cl', 'a')
    local m = e[1] and read(e[1], 'ca', 'at', 'ex', 'n', 'tp')
    local holds = held[e[9] or ''] or 0
    if e[1] and m[1] and holds >= share then
      full = true
    elseif e[1] and m[1] then
      held[e[9]] = holds + 1
      redis.call('ZREM', queue, event)
      redis.call('ZADD', leased, NOW + lease_ms, event)
      redis.call('HSET', key, 'f', ARGV[4])
      for i = 1, 10 do e[i] = e[i] or '' end
      for i = 1, 5 do m[i] = m[i] or '' end
      m[6], m[7] = get_long(e[1], 'b') or '', get_long(e[1], 'k') or ''
      answer[#answer + 1] = { event, destination, e, m, 0 }
      taken = taken + 1
    else
      redis.call('ZREM', queue, event)
      if e[9] then redis.call('ZREM', P .. 'pending:' .. e[9], event) end
    end
  end
  if #events > 0 and #events >= own and redis.call('ZCOUNT', queue, '-inf', NOW) > 0 then
    for i = first_taken, #answer do answer[i][5] = 1 end
  end
  if full then
    redis.call('ZADD', P .. 'destinations', NOW + FULL_PAUSE_MS, destination)
  elseif room <= 0 and redis.call('ZCARD', queue) > 0 then
    -- No room now: whoever settles brings it back, at the latest the end of a lease or the next probe does.
    local lease = redis.call('ZRANGE', leased, 0, 0, 'WITHSCORES')[2]
    redis.call('ZADD', P .. 'destinations', lease or breaker[2] or NOW + 50, destination)
  else
    reschedule(destination)
  end
end
local first = redis.call('ZRANGE', P .. 'destinations', 0, 0, 'WITHSCORES')[2]
if first then answer[1] = math.max(0, math.ceil(tonumber(first) - NOW)) end
return answer
