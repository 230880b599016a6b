-- Cancels a message at its client's wish.
--
-- ARGV  1 id   2 client
-- Answer  'cancelled' (also if it already was) | 'unknown' | 'too late'
--
-- Invariant: one client never cancels another's; what may have rung is not cancelled.

local id = ARGV[1]
local m = read(id, 's', 'cl', 'am')
if not m[1] or m[2] ~= ARGV[2] then return 'unknown' end
if m[1] == 'cancelled' then return 'cancelled' end
if m[1] ~= 'queued' or m[3] then return 'too late' end
dequeue(id)
finish(id, 'cancelled', 'requested')
return 'cancelled'
