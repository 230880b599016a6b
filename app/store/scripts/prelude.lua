-- What every script begins with: the clock, the table of moves, and the few steps that several moves share.
-- The loader puts the table `MOVES` (from app/message.py) and this file in front of each script.
--
-- KEYS[1]  the shard's prefix, `relay:{0}:`. Every key of a script is made from it, so all share one slot.
--
-- Invariants kept here: time is Redis' own; a move that is not in MOVES raises; a final state, its event and
-- its place in the destination's queue are written together.

local P = KEYS[1]

local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local NOW = clock()

local function at_least(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

local function read(id, ...)
  return redis.call('HMGET', P .. 'm:' .. id, ...)
end

-- A hash takes half the memory as long as none of its values is longer than 64 bytes (hash-max-listpack-value). So a
-- record's long ones, the sealed body `b`, the sealed call `k` and the timeline `t`, are kept in pieces: `b`, `b1`, `b2`, …
-- What is longer than all pieces together, or was written before there were pieces, stands whole in the first.
local PIECE_BYTES, PIECES = 60, 8

local function piece_names(field)
  local names = { field }
  for i = 1, PIECES - 1 do names[i + 1] = field .. i end
  return names
end

local function get_long(id, field)
  local parts = redis.call('HMGET', P .. 'm:' .. id, unpack(piece_names(field)))
  local count = 0
  while parts[count + 1] do count = count + 1 end
  return count > 0 and table.concat(parts, '', 1, count)
end

local function put_long(id, field, value)
  local key, names, set = P .. 'm:' .. id, piece_names(field), {}
  local size = #value > PIECE_BYTES * PIECES and #value or PIECE_BYTES
  local count = math.max(1, math.ceil(#value / size))
  for i = 1, count do
    set[2 * i - 1], set[2 * i] = names[i], string.sub(value, (i - 1) * size + 1, i * size)
  end
  redis.call('HSET', key, unpack(set))
  if count < PIECES then redis.call('HDEL', key, unpack(names, count + 1)) end
end

local TIMELINE_BYTES = 6000

local function note(id, event, detail)
  local before = get_long(id, 't') or ''
  if #before > TIMELINE_BYTES and event ~= 'final' or redis.call('EXISTS', P .. 'm:' .. id) == 0 then return end
  put_long(id, 't', before .. NOW .. ' ' .. event .. ' ' .. (detail or '') .. '\n')
end

-- Moves a message along the table; the revision rises with it.
local function move(id, to)
  local from = redis.call('HGET', P .. 'm:' .. id, 's')
  if not from or not MOVES[from] or not MOVES[from][to] then
    error('no move from ' .. tostring(from) .. ' to ' .. to)
  end
  redis.call('HSET', P .. 'm:' .. id, 's', to)
  redis.call('HINCRBY', P .. 'm:' .. id, 'v', 1)
end

-- A wake-up is a hint: at most one a campaign is ever waiting in the list.
local function wake(campaign)
  if redis.call('HSETNX', P .. 'woken', campaign, '1') == 1 then
    redis.call('LREM', P .. 'wake', 0, campaign)
    redis.call('RPUSH', P .. 'wake', campaign)
  end
end

local function wake_push()
  wake('>push')
end

-- The destination's place in the order of who has work next: its first due event, or its first lease to run out.
local function reschedule(destination)
  local due = redis.call('ZRANGE', P .. 'push:' .. destination, 0, 0, 'WITHSCORES')[2]
  local lease = redis.call('ZRANGE', P .. 'pushing:' .. destination, 0, 0, 'WITHSCORES')[2]
  local next_ms = math.min(tonumber(due or 'inf') or math.huge, tonumber(lease or 'inf') or math.huge)
  if next_ms == math.huge then
    redis.call('ZREM', P .. 'destinations', destination)
  else
    redis.call('ZADD', P .. 'destinations', next_ms, destination)
  end
end

-- Writes the event of a message's present state and puts it into its destination's queue.
local function emit(id, kind)
  local m = read(id, 'v', 'r', 'su', 'fi', 'k', 'cl', 'd', 'kp')
  local revision, client, destination, keep_ms = m[1], m[6], m[7], tonumber(m[8])
  local event = 'evt_' .. string.sub(id, 5) .. 'r' .. revision
  local key = P .. 'e:' .. event
  redis.call('HSET', key, 'm', id, 'ty', kind, 'v', revision, 'at', NOW, 'cl', client, 'a', 0)
  if m[2] then redis.call('HSET', key, 'r', m[2]) end
  if m[3] then redis.call('HSET', key, 'su', m[3]) end
  if m[4] then redis.call('HSET', key, 'fi', m[4]) end
  if m[5] then redis.call('HSET', key, 'k', '1') end
  local events = redis.call('HGET', P .. 'm:' .. id, 'ev')
  redis.call('HSET', P .. 'm:' .. id, 'ev', (events and events .. ' ' or '') .. event)
  local stream = P .. 'events:' .. client
  redis.call('XADD', stream, 'MINID', '~', NOW - keep_ms, '*', 'e', event)
  at_least(stream, keep_ms)
  at_least(key, keep_ms)
  if destination then
    redis.call('HSET', key, 'st', 'pending', 'd', destination, 'na', NOW)
    redis.call('ZADD', P .. 'push:' .. destination, NOW, event)
    -- What was never delivered ends with its record, which no script sees: here its place in the list ends too.
    redis.call('ZREMRANGEBYSCORE', P .. 'pending:' .. client, '-inf', NOW - keep_ms)
    redis.call('ZADD', P .. 'pending:' .. client, NOW, event)
    at_least(P .. 'pending:' .. client, keep_ms)
    reschedule(destination)
    wake_push()
  else
    redis.call('HSET', key, 'st', 'none')
  end
end

-- Gives a number back, and puts the messages that waited for it into their queues again.
local function release_number(account, number, id)
  local claims = P .. 'numbers:' .. account
  if redis.call('HGET', claims, number) ~= id then return end
  redis.call('HDEL', claims, number)
  local waiting = P .. 'parked:' .. account .. ':' .. number
  for _, other in ipairs(redis.call('SMEMBERS', waiting)) do
    local m = read(other, 's', 'ca', 'cl', 'du')
    if m[1] == 'queued' then
      redis.call('ZREM', P .. 'waiting:' .. m[2] .. ':' .. m[3], other)
      redis.call('ZADD', P .. 'due:' .. m[2] .. ':' .. m[3], m[4], other)
      redis.call('ZADD', P .. 'turns:' .. m[2], 'NX', 0, m[3])
      wake(m[2])
    end
  end
  redis.call('DEL', waiting)
end

-- Puts a queued message where the next lease finds it.
local function enqueue(id, due_ms)
  local m = read(id, 'ca', 'cl', 'ex')
  redis.call('HSET', P .. 'm:' .. id, 'du', due_ms)
  redis.call('ZADD', P .. 'due:' .. m[1] .. ':' .. m[2], due_ms, id)
  redis.call('ZADD', P .. 'turns:' .. m[1], 'NX', 0, m[2])
  redis.call('ZADD', P .. 'queued:' .. m[1], m[3], id)
end

-- A queued message waits until its number is free.
local function park(id, account, number)
  local m = read(id, 'ca', 'cl', 'du')
  redis.call('ZREM', P .. 'due:' .. m[1] .. ':' .. m[2], id)
  redis.call('ZADD', P .. 'waiting:' .. m[1] .. ':' .. m[2], m[3], id)
  redis.call('SADD', P .. 'parked:' .. account .. ':' .. number, id)
end

-- Takes a queued message out of every place where it waits.
local function dequeue(id)
  local m = read(id, 'ca', 'cl', 'ac', 'n')
  redis.call('ZREM', P .. 'due:' .. m[1] .. ':' .. m[2], id)
  redis.call('ZREM', P .. 'waiting:' .. m[1] .. ':' .. m[2], id)
  redis.call('ZREM', P .. 'queued:' .. m[1], id)
  redis.call('SREM', P .. 'parked:' .. m[3] .. ':' .. m[4], id)
end

local NEVER_CALLED = { expired = true, cancelled = true, rejected = true }

-- The rows of a number's settled calls come again in later exports: they are known for an hour more. A call that is
-- still open keeps the index; one that ended undetermined keeps it as long as its record.
local function keep_calls(account, number, keep_ms)
  local index = P .. 'calls:' .. account .. ':' .. number
  local life_ms, settled = 3600000, {}
  for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    local state = redis.call('HGET', P .. 'm:' .. id, 's')
    if state == 'undetermined' then
      life_ms = math.max(life_ms, keep_ms)
    elseif state == 'answered' or state == 'failed' or not state or NEVER_CALLED[state] then
      settled[#settled + 1] = id
    else
      life_ms = math.huge
    end
  end
  for i = 1, #settled - 20 do redis.call('ZREM', index, settled[i]) end
  if life_ms ~= math.huge then redis.call('PEXPIRE', index, life_ms) end
end

-- For how long after its time a row that would still settle an undetermined message is looked for.
local LATE_MS = 3600000

local function look_for_late_row(id)
  local m = read(id, 'so', 'im')
  local sent_ms = string.match(m[2] or '', '^%S+,(%d+),')
  if not m[1] or not sent_ms then return end
  redis.call('ZADD', P .. 'late:' .. m[1], sent_ms, id)
  at_least(P .. 'late:' .. m[1], 2 * LATE_MS)
end

-- Ends a message: state, reason, event, end of life, and nobody waits for its number any more.
local function finish(id, state, reason)
  local key = P .. 'm:' .. id
  move(id, state)
  redis.call('HDEL', key, 'c', 'bt')
  if reason then redis.call('HSET', key, 'r', reason) else redis.call('HDEL', key, 'r') end
  redis.call('HSET', key, 'fi', NOW)
  note(id, 'final', state .. (reason and ' ' .. reason or ''))
  local m = read(id, 'ac', 'n', 'cl', 'kp', 'rf')
  local keep_ms = tonumber(m[4])
  emit(id, state)
  redis.call('PEXPIRE', key, keep_ms)
  at_least(P .. 'by_number:' .. m[3] .. ':' .. m[2], keep_ms)
  if m[5] then at_least(P .. 'by_reference:' .. m[3] .. ':' .. m[5], keep_ms) end
  keep_calls(m[1], m[2], keep_ms)
  if state == 'undetermined' then look_for_late_row(id) end
  release_number(m[1], m[2], id)
  redis.call('PUBLISH', P .. 'final', id)
end

-- Once an import that carried it was ambiguous, the phone may have rung: only `undetermined` is honest then.
local function finish_uncalled(id, state, reason)
  if redis.call('HGET', P .. 'm:' .. id, 'am') then
    finish(id, 'undetermined', 'ambiguous_import')
  else
    finish(id, state, reason)
  end
end

-- The list of a message's imports, each {batch, sent_ms, call_id or ''}, oldest first.
local function imports_of(id)
  local list = {}
  for batch, sent, call in string.gmatch(redis.call('HGET', P .. 'm:' .. id, 'im') or '', '(%S+),(%d+),(%S*);') do
    list[#list + 1] = { batch, tonumber(sent), call }
  end
  return list
end

local function write_imports(id, list)
  local parts = {}
  for _, one in ipairs(list) do parts[#parts + 1] = one[1] .. ',' .. one[2] .. ',' .. one[3] .. ';' end
  if #parts == 0 then
    redis.call('HDEL', P .. 'm:' .. id, 'im')
  else
    redis.call('HSET', P .. 'm:' .. id, 'im', table.concat(parts, ' '))
  end
end

-- Takes an import of which nothing was taken off the message's list; how many are left.
local function forget_import(id, batch)
  local kept = {}
  for _, one in ipairs(imports_of(id)) do
    if one[1] ~= batch then kept[#kept + 1] = one end
  end
  write_imports(id, kept)
  return #kept
end

-- Says of the import in `batch` which call it became.
local function set_call(id, batch, call)
  local list = imports_of(id)
  for _, one in ipairs(list) do
    if one[1] == batch then one[3] = call end
  end
  write_imports(id, list)
end

-- Who still is in this batch. Who is not is no member any more and is left alone: a script that met a record it did
-- not expect in the middle of a batch would fail with half of the batch written, for Redis takes nothing back.
local function members_of(batch)
  local ids = {}
  for id in string.gmatch(redis.call('HGET', P .. 'b:' .. batch, 'ms') or '', '%S+') do
    local m = read(id, 's', 'bt')
    if m[1] == 'submitting' and m[2] == batch then ids[#ids + 1] = id end
  end
  return ids
end

-- Whether the worker's heartbeat was heard of late. One that has no name cannot be missed.
local function is_alive(worker)
  return not worker or worker == '' or redis.call('EXISTS', P .. 'alive:' .. worker) == 1
end

-- Gives the batch's place among the imports under way back.
local function end_lease(batch, campaign)
  redis.call('ZREM', P .. 'leases', batch)
  redis.call('SREM', P .. 'under_way:' .. campaign, batch)
  wake(campaign)
end

-- The import took this message: from here on its row in the export is waited for.
local function mark_submitted(id, batch, sent_ms, source)
  move(id, 'submitted')
  redis.call('HSET', P .. 'm:' .. id, 'su', sent_ms)
  redis.call('HDEL', P .. 'm:' .. id, 'c', 'bt')
  redis.call('ZADD', P .. 'open:' .. source, sent_ms, id)
  note(id, 'submitted', batch)
  if redis.call('HGET', P .. 'm:' .. id, 'es') then emit(id, 'submitted') end
end

-- Why messages of this campaign wait: nil when it runs.
local function hold_of(campaign, account)
  local paused = redis.call('HGET', P .. 'pause:' .. campaign, 'at')
  if paused then return 'paused', math.huge end
  local locked = redis.call('HGET', P .. 'locked:' .. account, 'until')
  if locked then return 'account_locked', tonumber(locked) end
  local h = redis.call('HMGET', P .. 'hold:' .. campaign, 'reason', 'next')
  if h[1] then return h[1], tonumber(h[2]) end
  return nil, 0
end
