-- Keeps an account's token sealed with another key than before.
--
-- ARGV  1 account   2 the token's generation   3 sealed token
-- Answer  1 if it was kept, 0 if another had replaced it
--
-- Invariant: a token never takes the place of a later one.

local key = P .. 'token:' .. ARGV[1]
if redis.call('HGET', key, 'g') ~= ARGV[2] then return 0 end
redis.call('HSET', key, 't', ARGV[3])
return 1
