-- Accepts one message: idempotency, limits, the queue's bound, the record, its indexes, its place in the queue.
--
-- ARGV  1 id                2 client            3 campaign          4 account
--       5 number hash       6 reference hash or ''   7 sealed body   8 sealed code or ''
--       9 ttl in ms, or 0   10 expires_at in ms, or 0
--       11 idempotency hash or ''   12 fingerprint   13 idempotency life in ms
--       14 client burst     15 client period ms    16 number burst    17 number period ms
--       18 queue bound      19 keep ms             20 destination or ''
--       21 '1': event when submitted     22 '1': supersede queued     23 traceparent or ''
-- Answer  {'accepted', accepted_at_ms, expires_at_ms, left of the client's limit, ms until there is one more}
--         {'replayed', id, campaign, body, accepted_at_ms, expires_at_ms}
--         {'conflict'}  the key was used for another body, or its record is gone
--         {'limited', 'client' | 'number', retry_after_ms, burst, period_ms}
--         {'full', queued} | {'draining'}
--
-- Invariant: all or nothing. A refusal writes nothing: no token of a limit, no idempotency key. The client's limit is
-- looked at first, so that a client past its own is told nothing of a number, which is every client's.

local id, client, campaign, account = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local number, reference = ARGV[5], ARGV[6]
local idem = ARGV[11] ~= '' and P .. 'idem:' .. client .. ':' .. ARGV[11]

if idem then
  local known = redis.call('HMGET', idem, 'f', 'm')
  if known[1] then
    if known[1] ~= ARGV[12] then return { 'conflict' } end
    local m = read(known[2], 'ca', 'at', 'ex')
    if not m[1] then return { 'conflict' } end
    return { 'replayed', known[2], m[1], get_long(known[2], 'b') or '', m[2], m[3] }
  end
end

-- GCRA. A limit is one time: each message moves it on by period / burst, and it may stand a period ahead of now, no
-- further. Reckoned in parts of 1 / burst ms, so in whole numbers: no rate gains or loses by rounding, for a period of
-- 31 days times a burst of 1,000,000 is below 2^53. If it stands further ahead, the clock was set back or the period made
-- shorter: then there is room for one. So a step gives no second burst, and nobody waits it out.
local function gcra(key, burst, period_ms)
  local room, ahead = burst * period_ms, 0
  local ms, part = string.match(redis.call('GET', key) or '', '^(%d+)%.?(%d*)$')
  if ms then
    ahead = math.max(0, (tonumber(ms) - NOW) * burst + math.floor((tonumber('0.' .. part) or 0) * burst + 0.5))
  end
  if ahead > room then ahead = room - period_ms end
  local taken = ahead + period_ms
  return taken <= room, taken, math.ceil((taken - room) / burst)
end

local function keep_rate(key, burst, taken)
  local part = math.floor(taken % burst * 1e9 / burst + 0.5)
  local ahead_ms = math.floor(taken / burst)
  redis.call('SET', key, string.format('%.0f.%09.0f', NOW + ahead_ms, part), 'PX', ahead_ms + 1001)
end

local client_burst, client_period = tonumber(ARGV[14]), tonumber(ARGV[15])
local number_burst, number_period = tonumber(ARGV[16]), tonumber(ARGV[17])
local client_key = P .. 'rate:' .. client
local number_key = P .. 'number_rate:' .. campaign .. ':' .. number
local client_ok, client_taken, client_wait_ms = gcra(client_key, client_burst, client_period)
if not client_ok then return { 'limited', 'client', client_wait_ms, client_burst, client_period } end
local number_ok, number_taken, number_wait_ms = gcra(number_key, number_burst, number_period)
if not number_ok then return { 'limited', 'number', number_wait_ms, number_burst, number_period } end

if redis.call('EXISTS', P .. 'drain:' .. campaign) == 1 then return { 'draining' } end
local depth = redis.call('ZCARD', P .. 'queued:' .. campaign)
if depth >= tonumber(ARGV[18]) then return { 'full', depth } end

local keep_ms = tonumber(ARGV[19])
local expires = tonumber(ARGV[10])
if expires == 0 then expires = NOW + tonumber(ARGV[9]) end

keep_rate(client_key, client_burst, client_taken)
keep_rate(number_key, number_burst, number_taken)

if ARGV[22] == '1' then
  for _, other in ipairs(redis.call('ZREVRANGE', P .. 'by_number:' .. client .. ':' .. number, 0, 9)) do
    local o = read(other, 's', 'ca', 'am')
    if o[1] == 'queued' and o[2] == campaign and not o[3] then
      dequeue(other)
      finish(other, 'cancelled', 'superseded')
    end
  end
end

local key = P .. 'm:' .. id
redis.call('HSET', key, 's', 'queued', 'v', 1, 'cl', client, 'ca', campaign, 'ac', account, 'n', number,
  'at', NOW, 'ex', expires, 'kp', keep_ms)
put_long(id, 'b', ARGV[7])
if ARGV[8] ~= '' then redis.call('HSET', key, 'c', ARGV[8]) end
if ARGV[20] ~= '' then redis.call('HSET', key, 'd', ARGV[20]) end
if ARGV[21] == '1' then redis.call('HSET', key, 'es', '1') end
if ARGV[23] ~= '' then redis.call('HSET', key, 'tp', ARGV[23]) end

local life_ms = expires - NOW + keep_ms + 3600000
local by_number = P .. 'by_number:' .. client .. ':' .. number
redis.call('ZADD', by_number, NOW, id)
redis.call('ZREMRANGEBYSCORE', by_number, '-inf', NOW - keep_ms - 90000000)
at_least(by_number, life_ms)
if reference ~= '' then
  redis.call('HSET', key, 'rf', reference)
  local by_reference = P .. 'by_reference:' .. client .. ':' .. reference
  redis.call('ZADD', by_reference, NOW, id)
  redis.call('ZREMRANGEBYSCORE', by_reference, '-inf', NOW - keep_ms - 90000000)
  at_least(by_reference, life_ms)
end
if idem then
  redis.call('HSET', idem, 'f', ARGV[12], 'm', id)
  redis.call('PEXPIRE', idem, ARGV[13])
end
enqueue(id, NOW)
wake(campaign)
local left = client_burst * client_period - client_taken
local remaining = math.floor(left / client_period)
return { 'accepted', NOW, expires, remaining, math.ceil((client_period - left % client_period) / client_burst) }
