-- Writes what became of a batch: each member's fate, the lease's end, and what it says of the campaign.
--
-- ARGV  1 batch   2 fate of those not named below: 'missing' | 'requeue' | 'ambiguous' | 'rejected'
--       3 argument of that fate: due delay ms | detail
--       4 hold: '' (say nothing) | 'release' | a reason      5 pause before the next probe ms
--       6 lone rejections that hold the campaign, 0: not counted
--       7… pairs: id, call id ('' if the provider gave none): taken
-- Answer  {'settled', taken, rejected, requeued, ambiguous}
--         {'lost'}   the batch is not this worker's any more, or was never marked as sent: nothing was changed
--
-- Invariants: only a batch that is sending is settled, once; of one that is only leased nothing was sent, so it can
-- be requeued and no more. An ambiguous batch keeps its members and their numbers until it is reconciled. A contact
-- missing without a word is rejected, unless an unfinished call of its number may be why: then it waits for its end.
-- What is queued again without a delay keeps its place. What was under way when the hold began says nothing new: probes
-- alone are counted. An import of which nothing was taken, so that it goes back whole, uses nothing of the hour.

local batch = ARGV[1]
local key = P .. 'b:' .. batch
local b = redis.call('HMGET', key, 'st', 'ca', 'ac', 'at', 'so', 'pr', 'hm')
local state, campaign, account, sent_ms, source = b[1], b[2], b[3], tonumber(b[4] or '0'), b[5]
if state ~= 'sending' and not (state == 'leased' and ARGV[2] == 'requeue' and #ARGV < 7) then return { 'lost' } end

local calls = {}
for i = 7, #ARGV, 2 do calls[ARGV[i]] = ARGV[i + 1] end

local function drop_import(id, number)
  if forget_import(id, batch) == 0 then redis.call('ZREM', P .. 'calls:' .. account .. ':' .. number, id) end
end

local function earlier_call_unfinished(id, number)
  for _, other in ipairs(redis.call('ZRANGE', P .. 'calls:' .. account .. ':' .. number, 0, -1)) do
    if other ~= id and redis.call('HGET', P .. 'm:' .. other, 's') == 'submitted' then return other end
  end
end

local function requeue(id, number, delay_ms, why)
  drop_import(id, number)
  move(id, 'queued')
  redis.call('HDEL', P .. 'm:' .. id, 'bt')
  note(id, 'requeued', why)
  enqueue(id, delay_ms > 0 and NOW + delay_ms or tonumber(redis.call('HGET', P .. 'm:' .. id, 'du')))
  release_number(account, number, id)
end

local taken, rejected, requeued, ambiguous = 0, 0, 0, 0
local fate, detail = ARGV[2], ARGV[3]
for _, id in ipairs(members_of(batch)) do
  local number = redis.call('HGET', P .. 'm:' .. id, 'n')
  local call = calls[id]
  if call then
    set_call(id, batch, call)
    mark_submitted(id, batch, sent_ms, source)
    if call ~= '' then release_number(account, number, id) end
    taken = taken + 1
  elseif fate == 'missing' then
    local other = earlier_call_unfinished(id, number)
    if other then
      requeue(id, number, 0, 'an earlier call to the number is unfinished')
      redis.call('HSET', P .. 'numbers:' .. account, number, other)
      park(id, account, number)
      requeued = requeued + 1
    else
      drop_import(id, number)
      finish_uncalled(id, 'rejected', 'not_accepted')
      rejected = rejected + 1
    end
  elseif fate == 'requeue' then
    requeue(id, number, tonumber(detail), ARGV[4])
    requeued = requeued + 1
  elseif fate == 'rejected' then
    drop_import(id, number)
    finish_uncalled(id, 'rejected', detail)
    rejected = rejected + 1
  else
    redis.call('HSET', P .. 'm:' .. id, 'am', '1')
    note(id, 'import ambiguous', detail)
    ambiguous = ambiguous + 1
  end
end

if fate == 'requeue' then uncount_calls(campaign, b[7], requeued) end
end_lease(batch, campaign)
if ambiguous > 0 then
  redis.call('HSET', key, 'st', 'ambiguous')
  if taken > 0 then redis.call('HSET', key, 'partial', '1') end
  redis.call('ZADD', P .. 'ambiguous:' .. source, sent_ms, batch)
else
  redis.call('DEL', key)
end

local hold = P .. 'hold:' .. campaign
if ARGV[4] == 'release' then
  redis.call('DEL', hold, P .. 'lone:' .. campaign)
elseif ARGV[4] ~= '' and (b[6] == '1' or redis.call('HEXISTS', hold, 'reason') == 0) then
  redis.call('HSET', hold, 'reason', ARGV[4], 'next', NOW + tonumber(ARGV[5]))
  redis.call('HINCRBY', hold, 'probes', 1)
  redis.call('HSETNX', hold, 'since', NOW)
end
if tonumber(ARGV[6]) > 0 then
  local lone = redis.call('INCR', P .. 'lone:' .. campaign)
  redis.call('PEXPIRE', P .. 'lone:' .. campaign, 3600000)
  if lone >= tonumber(ARGV[6]) then
    redis.call('HSET', hold, 'reason', 'campaign_invalid', 'next', NOW + tonumber(ARGV[5]))
    redis.call('HINCRBY', hold, 'probes', 1)
    redis.call('HSETNX', hold, 'since', NOW)
  end
end
return { 'settled', taken, rejected, requeued, ambiguous }
