-- Remembers which campaigns and clients were configured last, so that one that is gone can be missed.
--
-- ARGV  pairs: `campaigns/<name>` or `clients/<name>`, what is to be remembered of it
-- Answer  how many are remembered
--
-- Invariant: what was once remembered is never forgotten, for an API that still has it may accept for it.

for i = 1, #ARGV, 2 do redis.call('HSET', P .. 'configured', ARGV[i], ARGV[i + 1]) end
return redis.call('HLEN', P .. 'configured')
