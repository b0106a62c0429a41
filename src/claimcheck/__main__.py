"""`python -m claimcheck`: the command without its entry point installed."""

from claimcheck.cli import main

main()
