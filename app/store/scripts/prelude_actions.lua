-- The log of operators' actions: who did what and why, written by the script that does it.

local ACTIONS_MOST, ACTIONS_KEEP_MS = 10000, 400 * 86400000

-- `by`: the operator's own word of who; `key`: the first characters of the admin key's digest.
local function record_action(action, campaign, by, key, why, event, detail)
  local log = P .. 'actions'
  redis.call('XADD', log, 'MAXLEN', ACTIONS_MOST, '*', 'a', action, 'at', NOW, 'c', campaign, 'by', by, 'k', key,
    'w', why, 'e', event or '', 'd', detail or '')
  redis.call('XTRIM', log, 'MINID', NOW - ACTIONS_KEEP_MS)
  redis.call('PEXPIRE', log, ACTIONS_KEEP_MS)
end

-- Holds a campaign back, `pause` or `drain`. Said again with the same reason it changes nothing, and is not recorded.
local function hold_back(kind, campaign, by, key, why)
  local held = P .. kind .. ':' .. campaign
  local was = redis.call('HMGET', held, 'at', 'w')
  if was[1] and was[2] == why then return 'unchanged' end
  redis.call('HSET', held, 'at', was[1] or NOW, 'by', by, 'k', key, 'w', why)
  record_action(kind, campaign, by, key, why)
  return 'done'
end
