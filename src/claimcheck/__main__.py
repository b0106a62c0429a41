"""`python -m claimcheck`: the same as the command `claimcheck`, where only the source folder is at hand."""

from claimcheck.cli import main

if __name__ == "__main__":
    main()
