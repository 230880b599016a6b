-- Drops an account's token, if it is still the one that failed.
--
-- ARGV  1 account   2 generation of the token that failed
-- Answer  1 if it was dropped, 0 if another had replaced it
--
-- Invariant: a fresh token is never dropped for an older one's fault.

local key = P .. 'token:' .. ARGV[1]
if redis.call('HGET', key, 'g') ~= ARGV[2] then return 0 end
redis.call('DEL', key)
return 1
