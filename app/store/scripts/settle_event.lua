-- Writes what became of one delivery attempt.
--
-- ARGV  1 event   2 fence   3 'delivered' | 'retry' | 'dead'   4 HTTP status or ''   5 error or ''   6 ms until the next try
--       7 failures in a row that open the breaker; 0: nothing was sent, and this tells nothing of the destination
--       8 pause between its probes, ms
-- Answer  {'settled', attempts, made_at_ms} | {'lost'}: the lease is another's
--
-- Invariants: an attempt is counted once; a dead letter keeps its record and waits for a replay; what was refused
-- here, for one client's sake, is no failure of a destination that others send to.

local event, verdict = ARGV[1], ARGV[3]
local key = P .. 'e:' .. event
local e = redis.call('HMGET', key, 'f', 'd', 'cl', 'm', 'at')
if e[1] ~= ARGV[2] then return { 'lost' } end
local destination, client = e[2], e[3]

redis.call('HDEL', key, 'f')
local attempts = redis.call('HINCRBY', key, 'a', 1)
redis.call('HSET', key, 'ls', ARGV[4], 'le', ARGV[5])
redis.call('ZREM', P .. 'pushing:' .. destination, event)
redis.call('ZREM', P .. 'push:' .. destination, event)
note(e[4], 'callback ' .. verdict, event .. ' attempt ' .. attempts .. ': ' .. (ARGV[4] ~= '' and ARGV[4] or ARGV[5]))

local breaker = P .. 'breaker:' .. destination
local failures_to_open = tonumber(ARGV[7])
if verdict == 'delivered' or (verdict == 'dead' and ARGV[4] == '410') then
  redis.call('DEL', breaker)
elseif failures_to_open > 0 then
  local failures = redis.call('HINCRBY', breaker, 'failures', 1)
  redis.call('PEXPIRE', breaker, 86400000)
  if failures >= failures_to_open then
    redis.call('HSETNX', breaker, 'open', NOW)
    redis.call('HSET', breaker, 'next', NOW + tonumber(ARGV[8]))
  end
end

if verdict == 'retry' then
  local next_ms = NOW + tonumber(ARGV[6])
  redis.call('HSET', key, 'na', next_ms)
  redis.call('ZADD', P .. 'push:' .. destination, next_ms, event)
else
  redis.call('HDEL', key, 'na')
  redis.call('HSET', key, 'st', verdict)
  redis.call('ZREM', P .. 'pending:' .. client, event)
  if verdict == 'dead' then
    local dead = P .. 'dead:' .. client
    local life_ms = redis.call('PTTL', key)
    redis.call('ZADD', dead, NOW, event)
    redis.call('ZREMRANGEBYSCORE', dead, '-inf', NOW - math.max(life_ms, 604800000))
    at_least(dead, math.max(life_ms, 60000))
  end
end
reschedule(destination)
if redis.call('ZCARD', P .. 'push:' .. destination) > 0 then wake_push() end
return { 'settled', attempts, tonumber(e[5]) }
