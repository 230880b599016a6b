-- The calls of the last hour: a campaign's last fuse, counted where imports leave.
--
-- A call is counted in the last minute in which its import may leave, from its mark on, until that minute is an hour
-- old; what is leased and not yet marked is a claim on the hour besides. So whatever left within any sixty minutes was
-- counted when the last of it was leased. What is known never to have been taken is counted no more.

local HOUR_MS = 3600000
-- No import leaves later than so many minutes after its mark: what is counted beyond was written by a clock that was
-- set back since. It is counted as of then, so that nobody waits out the step.
local LATEST_MINUTES = 6

-- How many calls count, and when the first of them will not any more; nil if there is none.
local function calls_of_hour(campaign)
  local key, minute = P .. 'hour:' .. campaign, math.floor(NOW / 60000)
  local flat = redis.call('HGETALL', key)
  local used, oldest = 0, math.huge
  for i = 1, #flat, 2 do
    local at, calls = tonumber(flat[i]), tonumber(flat[i + 1])
    if at <= minute - 61 then
      redis.call('HDEL', key, flat[i])
    else
      if at > minute + LATEST_MINUTES then
        at = minute + LATEST_MINUTES
        redis.call('HINCRBY', key, at, calls)
        redis.call('HDEL', key, flat[i])
      end
      used, oldest = used + calls, math.min(oldest, at)
    end
  end
  return used, oldest ~= math.huge and (oldest + 61) * 60000 or nil
end

-- How many more are leased and may still be marked.
local function calls_claimed(campaign)
  local claimed = 0
  for _, batch in ipairs(redis.call('SMEMBERS', P .. 'under_way:' .. campaign)) do
    local b = redis.call('HMGET', P .. 'b:' .. batch, 'st', 'n')
    if b[1] == 'leased' then claimed = claimed + tonumber(b[2] or '0') end
  end
  return claimed
end

-- An import is marked: it may leave within `lease_ms`. The minute in which it counts. What is over is cleared away by the
-- first of each minute, for where there is no ceiling nobody else looks.
local function count_calls(campaign, calls, lease_ms)
  local key, minute = P .. 'hour:' .. campaign, math.floor((NOW + lease_ms) / 60000)
  if redis.call('HINCRBY', key, minute, calls) == calls then calls_of_hour(campaign) end
  at_least(key, (minute + 63) * 60000 - NOW)
  return minute
end

-- Of an import that was counted in that minute, so many are known not to have been taken.
local function uncount_calls(campaign, minute, calls)
  local key = P .. 'hour:' .. campaign
  local counted = minute and tonumber(redis.call('HGET', key, minute) or '0') or 0
  if counted > calls then
    redis.call('HINCRBY', key, minute, -calls)
  elseif counted > 0 then
    redis.call('HDEL', key, minute)
  end
end
