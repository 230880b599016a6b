-- How much of its hour a campaign has used.
--
-- ARGV  1 campaign
-- Answer  {calls that count, calls leased besides, ms until the first of them counts no more, or -1}
--
-- Invariant: the same count that `lease` goes by.

local used, free_at_ms = calls_of_hour(ARGV[1])
return { used, calls_claimed(ARGV[1]), free_at_ms and free_at_ms - NOW or -1 }
