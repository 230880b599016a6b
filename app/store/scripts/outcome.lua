-- Gives one row of an export to the message whose call it tells of.
--
-- ARGV  1 account   2 number hash   3 call id or ''   4 row state   5 called at ms by our clock, or 0   6 tolerance ms
--       7 sealed call   8 reason of a failure   9 redial window ms, of campaigns not named below
--       10 source that was asked, or ''   11 called at as the provider wrote it, or ''
--       12… pairs: campaign, its redial window ms
-- Answer  {'settled', id, state, campaign, reason, sent_at_ms} | {'waiting', id} (not final yet) | {'known', id} (said before)
--         {'unexplained'}
--
-- Invariants: a row goes to the import with its call id, else to the oldest import of the number that lacks one and
-- was sent before it. A row without an id is told apart from others by when it was called. A row that only an
-- ambiguous batch explains proves that the whole batch was taken.

local account, number, call = ARGV[1], ARGV[2], ARGV[3]
local row_state, called_ms, tolerance = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local source, written = ARGV[10], ARGV[11]

-- Call ids may be unique in their campaign only, so a campaign's export says nothing of another campaign's calls.
local function is_asked_about(so)
  return source == '' or source == account or so == account or so == source
end

local candidates = {}
for _, id in ipairs(redis.call('ZRANGE', P .. 'calls:' .. account .. ':' .. number, 0, -1)) do
  local m = read(id, 's', 'so', 'cw')
  if m[1] and is_asked_about(m[2]) then
    local over = m[1] == 'answered' or m[1] == 'failed'
    local seen = written ~= '' and string.find(';' .. (m[3] or ''), ';' .. written .. ';', 1, true) ~= nil
    candidates[#candidates + 1] = { id = id, state = m[1], over = over, seen = seen, imports = imports_of(id) }
  end
end

local function was_sent_before(one)
  return called_ms == 0 or one[2] <= called_ms + tolerance
end

local owner, batch, known
local likeness = 0
for _, c in ipairs(candidates) do
  local like = 0
  for _, one in ipairs(c.imports) do
    if call ~= '' and one[3] == call then
      like = c.seen and 3 or c.over and 1 or 2
      if like > likeness then batch = one[1] end
    end
  end
  if call == '' and c.seen then like = 3 end
  if like > likeness then owner, known, likeness = c.id, true, like end
end
if not owner then
  local sent = math.huge
  for _, c in ipairs(candidates) do
    for _, one in ipairs(c.imports) do
      if not c.over and one[3] == '' and was_sent_before(one) and one[2] < sent then
        owner, batch, sent = c.id, one[1], one[2]
      end
    end
  end
end
if not owner and call == '' then
  -- Exports that name no ids, though imports did: then the number and the time are all there is.
  for _, c in ipairs(candidates) do
    local waits = c.state == 'submitted' or c.state == 'undetermined'
    if not owner and waits and c.imports[1] and was_sent_before(c.imports[1]) then owner, known = c.id, true end
  end
end
if not owner then
  -- A redial inside the window belongs to the number's latest call; there the answer outweighs the failure.
  for i = #candidates, 1, -1 do
    if not owner and redis.call('HGET', P .. 'm:' .. candidates[i].id, 'pf') then owner = candidates[i].id end
  end
end
if not owner then return { 'unexplained' } end

local m = read(owner, 's', 'bt', 'so', 'ca', 'pf')
local state = m[1]
if state == 'answered' or state == 'failed' then return { 'known', owner } end

if state == 'submitting' then
  local b = redis.call('HMGET', P .. 'b:' .. m[2], 'st', 'at', 'so', 'partial')
  if b[1] ~= 'ambiguous' then return { 'waiting', owner } end
  -- No export showed the imports before this one in their time: what was called after it was called by it.
  if not known and was_sent_before({ m[2], tonumber(b[2]) }) then batch = m[2] end
  local whole = batch == m[2] and not b[4]
  for _, id in ipairs(whole and members_of(batch) or { owner }) do
    local one = read(id, 's', 'bt')
    if one[1] == 'submitting' and one[2] == m[2] then
      note(id, 'import found', batch)
      mark_submitted(id, batch, tonumber(b[2]), b[3])
    end
  end
  if whole then
    redis.call('ZREM', P .. 'ambiguous:' .. b[3], batch)
    redis.call('DEL', P .. 'b:' .. batch)
  end
elseif state == 'queued' then
  -- An ambiguous import of it was not found in time, and yet was taken: its call is this message's call.
  dequeue(owner)
  move(owner, 'submitting')
  note(owner, 'import found', batch)
  redis.call('HSETNX', P .. 'numbers:' .. account, number, owner)
  mark_submitted(owner, batch, imports_of(owner)[1][2], m[3])
end

-- A call that was known by its id does not hold its number any more; who waits for its end waits on.
if call ~= '' and batch and not known then
  set_call(owner, batch, call)
  release_number(account, number, owner)
end
if row_state ~= 40 and row_state ~= 50 then return { 'waiting', owner } end

put_long(owner, 'k', ARGV[7])
if written ~= '' then
  local before = redis.call('HGET', P .. 'm:' .. owner, 'cw') or ''
  if not string.find(';' .. before, ';' .. written .. ';', 1, true) then
    redis.call('HSET', P .. 'm:' .. owner, 'cw', before .. written .. ';')
  end
end
local redial_ms = tonumber(ARGV[9])
for i = 12, #ARGV, 2 do
  if ARGV[i] == m[4] then redial_ms = tonumber(ARGV[i + 1]) end
end
if row_state == 50 and redial_ms > 0 and state ~= 'undetermined' then
  if not m[5] then
    redis.call('HSET', P .. 'm:' .. owner, 'pf', ARGV[8])
    local sent_ms = tonumber(redis.call('HGET', P .. 'm:' .. owner, 'su'))
    redis.call('ZADD', P .. 'redials:' .. m[3], math.max(called_ms, sent_ms) + redial_ms, owner)
    note(owner, 'call failed', 'a redial may follow')
  end
  return { 'waiting', owner }
end
redis.call('HDEL', P .. 'm:' .. owner, 'pf')
redis.call('ZREM', P .. 'redials:' .. m[3], owner)
redis.call('ZREM', P .. 'open:' .. m[3], owner)
redis.call('ZREM', P .. 'late:' .. m[3], owner)
finish(owner, row_state == 40 and 'answered' or 'failed', row_state == 50 and ARGV[8] or nil)
local sent_ms = redis.call('HGET', P .. 'm:' .. owner, 'su')
return { 'settled', owner, row_state == 40 and 'answered' or 'failed', m[4], ARGV[8], sent_ms or '0' }
