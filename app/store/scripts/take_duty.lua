-- Gives a worker what one worker at a time does: collecting for a source, making an account's token.
--
-- ARGV  1 duty: the key's name, less the prefix   2 worker   3 for how long, ms   4 '1': its holder may ask again and keeps it
-- Answer  1 it is this worker's; 0 somebody has it who is alive
--
-- Invariant: a duty is taken from a worker only when its time is over or its worker's heartbeat has stopped.

local key = P .. ARGV[1]
local holder = redis.call('GET', key)
local mine_again = holder == ARGV[2] and ARGV[4] == '1'
if holder and not mine_again and is_alive(holder) then return 0 end
redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
return 1
