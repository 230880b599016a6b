-- Ends the queued messages of a campaign whose time has run out.
--
-- ARGV  1 campaign   2 account   3 the most to end
-- Answer  {ended, reason}
--
-- Invariant: only `queued` messages expire; one that an ambiguous import carried ends undetermined instead.

local campaign = ARGV[1]
local reason = hold_of(campaign, ARGV[2])
if not reason then
  reason = redis.call('EXISTS', P .. 'ceiling:' .. campaign) == 1 and 'ceiling' or 'backlog'
end
local ids = redis.call('ZRANGEBYSCORE', P .. 'queued:' .. campaign, '-inf', NOW, 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  if read(id, 's')[1] ~= 'queued' then
    redis.call('ZREM', P .. 'queued:' .. campaign, id)
  else
    dequeue(id)
    finish_uncalled(id, 'expired', reason)
  end
end
return { #ids, reason }
