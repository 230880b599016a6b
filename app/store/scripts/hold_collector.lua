-- Says whether this worker collects for a source, and if so for how much longer.
--
-- ARGV  1 source   2 owner   3 lease ms; 0: gives the source back
-- Answer  1 if it is this worker's (or was, when it is given back), else 0
--
-- Invariant: one worker at a time collects for a source; nobody gives back what is another's.

local key = P .. 'collector:' .. ARGV[1]
local holder = redis.call('GET', key)
if holder and holder ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
else
  redis.call('DEL', key)
end
return 1
