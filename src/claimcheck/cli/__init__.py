"""The `claimcheck` command: parses, calls, and tells errors in one line. Every step of the pipeline is one command."""

from __future__ import annotations

import os
import sys

from claimcheck.cli import keeping, looking, making, surroundings, telling  # noqa: F401  (four define commands)
from claimcheck.cli.app import app
from claimcheck.errors import ClaimcheckError

INTERRUPTED = 130

TRAINS = ("run", "tune", "power")
"""Commands that keep what they finished, ensemble by ensemble."""


def main() -> None:
    """Run the command; a ClaimcheckError is one line on standard error and exit status 2."""
    surroundings.settle()
    try:
        if (code := app(standalone_mode=False)) == INTERRUPTED:  # typer takes the interrupt and gives its status
            raise KeyboardInterrupt
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
        print(f"claimcheck: stopped{_what_is_kept(sys.argv[1:])}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:  # of the machine or of a name: another user's file, a full disk, a name that is too long
        print(f"claimcheck: {error.filename or 'a file'}: cannot be used ({error.strerror or error})", file=sys.stderr)
        sys.exit(2)
    except MemoryError:
        print("claimcheck: there is not enough memory; what was finished is kept", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        # Wrong words on the command line; typer has its own copy of click, whose classes have no lasting name.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
        else:
            words = " ".join(error.format_message().removesuffix(".").split()).replace("Value error, ", "")
            print(f"claimcheck: {words}; see {_command_of(error)} --help", file=sys.stderr)
        sys.exit(2)


def _command_of(error: Exception) -> str:
    """The command whose words were wrong, as it is typed."""
    words, context = [], getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name)
        context = context.parent
    return " ".join(["claimcheck", *words])


def _what_is_kept(words: list[str]) -> str:
    """What an interrupted command says of its work: a read-only one nothing, since there is none."""
    if next((word for word in words if not word.startswith("-")), None) not in TRAINS:
        return ""
    if "--force" in words:
        return "; with --force the same command starts over"
    return "; what was finished is kept, the same command goes on from there"
