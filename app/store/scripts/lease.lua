-- Takes the next batch of a campaign: due messages, round-robin over clients, never one number twice.
--
-- ARGV  1 campaign   2 account   3 batch id   4 batch size   5 concurrency   6 linger ms   7 lease ms
--       8 calls an hour, 0: no ceiling   9 provider's campaign id   10 base URL   11 pause between probes ms
--       12 source of outcomes   13 worker, or ''
-- Answer  {'batch', probe '1'|'', {id, body, code, expires_at_ms, accepted_at_ms, traceparent}, …}
--         {'wait', ms}            nothing to take before then
--         {'held', reason, ms}    the campaign is held; ask again after that
--         {'ceiling', percent, calls}   so much of the hour is used: to be told, once; then ask again
--         {'busy'}                `concurrency` imports are under way
--         {'empty'}
--
-- Invariants: a message leaves the queue and joins the batch in this one move; a leased number is claimed, so no
-- import anywhere carries it; an expired message is never leased; a held campaign gives one lone probe at a time; the
-- batches of a worker that died take no place among the imports under way; what is leased and what may have left in
-- any sixty minutes is never more than the ceiling. One that was found past its end is left to the sweep for good, also if
-- the clock is set back before that comes.

local campaign, account, batch = ARGV[1], ARGV[2], ARGV[3]
local size, linger_ms, lease_ms = tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[7])
local ceiling = tonumber(ARGV[8])

redis.call('HDEL', P .. 'woken', campaign)

local reason, until_ms = hold_of(campaign, account)
if reason == 'paused' then return { 'held', reason, 5000 } end
if reason and until_ms > NOW then return { 'held', reason, until_ms - NOW } end
local concurrency = tonumber(ARGV[5])
if redis.call('SCARD', P .. 'under_way:' .. campaign) >= concurrency then
  local places = 0
  for _, one in ipairs(redis.call('SMEMBERS', P .. 'under_way:' .. campaign)) do
    if is_alive(redis.call('HGET', P .. 'b:' .. one, 'w')) then places = places + 1 end
  end
  if places >= concurrency then return { 'busy' } end
end

local smaller = tonumber(redis.call('GET', P .. 'smaller:' .. campaign) or size)
size = math.min(size, smaller)
local probe = reason ~= nil
if probe then size = 1 end

-- The last fuse. What is told of it is told once: a level is left behind only well below it.
local function level_reached(used)
  local key = P .. 'ceiling_said:' .. campaign
  local said = tonumber(redis.call('GET', key) or '0')
  local level = used >= ceiling and 100 or used >= 0.8 * ceiling and 80 or 0
  local kept = said == 100 and used >= 0.9 * ceiling and 100 or said > 0 and used >= 0.7 * ceiling and 80 or 0
  local now = math.max(level, kept)
  if now == 0 then redis.call('DEL', key) else redis.call('SET', key, now, 'PX', 2 * HOUR_MS) end
  return level > kept and level
end

if ceiling > 0 then
  local used, free_at_ms = calls_of_hour(campaign)
  local level = level_reached(used)
  if level then return { 'ceiling', level, used } end
  local room = ceiling - used - calls_claimed(campaign)
  if room <= 0 then
    local free_ms = free_at_ms and free_at_ms - NOW or lease_ms
    redis.call('SET', P .. 'ceiling:' .. campaign, '1', 'PX', free_ms)
    return { 'held', 'ceiling', free_ms }
  end
  size = math.min(size, room)
end
redis.call('DEL', P .. 'ceiling:' .. campaign)

local turns = P .. 'turns:' .. campaign
local due, oldest, ready = 0, math.huge, {}
for _, client in ipairs(redis.call('ZRANGE', turns, 0, -1)) do
  local queue = P .. 'due:' .. campaign .. ':' .. client
  local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2]
  if not first then
    redis.call('ZREM', turns, client)
  else
    oldest = math.min(oldest, tonumber(first))
    if tonumber(first) <= NOW then
      ready[#ready + 1] = client
      if due < size then due = due + redis.call('ZCOUNT', queue, '-inf', NOW) end
    end
  end
end
if oldest == math.huge then return { 'empty' } end
if oldest > NOW then return { 'wait', oldest - NOW } end
if due < size and not probe and oldest + linger_ms > NOW then return { 'wait', oldest + linger_ms - NOW } end

-- The next turn of a client that took part comes after all the others'.
local turn = tonumber(redis.call('ZRANGE', turns, -1, -1, 'WITHSCORES')[2] or '0') + 1
local members, answer, looked = {}, { 'batch', probe and '1' or '' }, 0
while #members < size and #ready > 0 and looked < 4 * size + 8 do
  local still = {}
  local share = math.max(1, math.floor((size - #members) / #ready))
  for _, client in ipairs(ready) do
    local queue = P .. 'due:' .. campaign .. ':' .. client
    local wanted = math.min(share, size - #members)
    local ids = wanted > 0 and redis.call('ZRANGEBYSCORE', queue, '-inf', NOW, 'LIMIT', 0, wanted) or {}
    for _, id in ipairs(ids) do
      looked = looked + 1
      local m = read(id, 's', 'n', 'ex', 'c', 'at', 'tp')
      redis.call('ZREM', queue, id)
      if m[1] == 'queued' and tonumber(m[3]) > NOW then
        if redis.call('HSETNX', P .. 'numbers:' .. account, m[2], id) == 0 then
          park(id, account, m[2])
        else
          move(id, 'submitting')
          redis.call('ZREM', P .. 'queued:' .. campaign, id)
          redis.call('HSET', P .. 'm:' .. id, 'bt', batch)
          members[#members + 1] = id
          answer[#answer + 1] = { id, get_long(id, 'b') or '', m[4] or '', m[3], m[5], m[6] or '' }
        end
      end
    end
    if wanted > 0 then
      redis.call('ZADD', turns, turn, client)
      turn = turn + 1
    end
    if #ids == wanted and wanted > 0 then still[#still + 1] = client end
  end
  ready = still
end
if #members == 0 then return { 'wait', 1 } end

if probe and reason ~= 'account_locked' then
  redis.call('HSET', P .. 'hold:' .. campaign, 'next', NOW + tonumber(ARGV[11]))
end
redis.call('HSET', P .. 'b:' .. batch, 'st', 'leased', 'ca', campaign, 'ac', account, 'pc', ARGV[9], 'url', ARGV[10],
  'so', ARGV[12], 'ms', table.concat(members, ' '), 'n', #members, 'w', ARGV[13], 'pr', probe and '1' or '')
redis.call('ZADD', P .. 'leases', NOW + lease_ms, batch)
redis.call('SADD', P .. 'under_way:' .. campaign, batch)
redis.call('HSET', P .. 'sources', ARGV[12], campaign)
return answer
