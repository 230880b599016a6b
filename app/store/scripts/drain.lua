-- An operator drains a campaign: it takes no new message, and what is queued still goes out.
--
-- ARGV  1 campaign   2 who, or ''   3 the admin key's fingerprint   4 why
-- Answer  'done' | 'unchanged': it was being drained for that reason already
--
-- Invariants: from here on `accept` refuses. The action is recorded in the same move, once.

return hold_back('drain', ARGV[1], ARGV[2], ARGV[3], ARGV[4])
