-- An operator pauses a campaign: nothing of it is leased any more.
--
-- ARGV  1 campaign   2 who, or ''   3 the admin key's fingerprint   4 why
-- Answer  'done' | 'unchanged': it was paused for that reason already
--
-- Invariants: imports in hand are settled as ever, and messages wait, or expire as `paused`. The action is recorded
-- in the same move, once.

return hold_back('pause', ARGV[1], ARGV[2], ARGV[3], ARGV[4])
