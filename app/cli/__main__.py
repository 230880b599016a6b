"""`python -m app.cli`: as the console script `otp-relay`."""

from app.cli.entry import main

main()
