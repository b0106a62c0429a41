"""The command without its entry point: `python -m claimcheck`, or this file, wherever its folder lies.

The pipeline names the file: a folder in PYTHONPATH must have no colon in its name.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).parents[1]))

from claimcheck.cli import main

main()
