"""The `claimcheck` command: parses, calls, and tells errors in one line. Every step of the pipeline is one command."""

from __future__ import annotations

import errno
import os
import sys

from claimcheck.cli import keeping, looking, making, surroundings, telling  # noqa: F401  (four define commands)
from claimcheck.cli.app import app
from claimcheck.errors import ClaimcheckError

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
"""Faults of the machine, not of the program: another user's file, a read-only or full disk."""


def main() -> None:
    """Run the command; a ClaimcheckError is one line on standard error and exit status 2."""
    surroundings.settle()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        # `claimcheck list | head` ends quietly. Not by the signal's default action, which would end a download, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ClaimcheckError as error:
        print(f"claimcheck: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("claimcheck: stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(f"claimcheck: {error.filename or 'a file'}: cannot be used ({error.strerror})", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        # Wrong words on the command line; typer has its own copy of click, whose classes have no lasting name.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
        else:
            words = " ".join(error.format_message().removesuffix(".").split()).replace("Value error, ", "")
            print(f"claimcheck: {words}; see claimcheck --help", file=sys.stderr)
        sys.exit(2)
