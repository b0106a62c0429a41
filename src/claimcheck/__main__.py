"""The command's entry point, and the command without it: `python -m claimcheck`, or this file, wherever its folder lies.

The pipeline names the file: a folder in PYTHONPATH must have no colon in its name.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    """Run the command; an interrupt that comes while its packages are being loaded is told as any other is."""
    try:
        from claimcheck.cli import main as command

        command()
    except KeyboardInterrupt:
        print("claimcheck: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
