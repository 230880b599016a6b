-- Records what an operator asked for that is done by many moves of its own: a replay of many callbacks.
--
-- ARGV  1 action   2 campaign, or ''   3 who, or ''   4 the admin key's fingerprint   5 why, or ''   6 what exactly
-- Answer  'done'
--
-- Invariant: recorded before any of it is done.

record_action(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], '', ARGV[6])
return 'done'
