"""`otp-relay dev`: all parts of the relay on one machine, as real processes. Read command.py first."""
