"""The one error that a user of claimcheck is meant to see: a line that says what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_FOUND = 400  # characters of a value met where another was expected, such as a whole mapping for a number


class ClaimcheckError(Exception):
    """Bad input or a broken result, told in one line.

    Args:
        what: the fault, in words.
        where: file and key (or command-line option) at fault.
        found: the value met there.
        expected: the values or form that would do.
        hint: what to do next.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        found: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.where, self.found, self.expected, self.hint = what, where, found, expected, hint
        pieces = [f"{where}: {what}" if where is not None else what]
        if found is not None:
            shown = " ".join((repr(found) if isinstance(found, str) else str(found)).split())
            pieces.append(f"found {shown[:LONGEST_FOUND]}{' …' if len(shown) > LONGEST_FOUND else ''}")
        if expected is not None:
            pieces.append(f"expected {expected}")
        if hint:
            pieces.append(hint)
        super().__init__("; ".join(" ".join(str(piece).split()) for piece in pieces))


def closest(name: str, known: Iterable[str]) -> str | None:
    """The sentence "did you mean X?" for a misspelt `name`, or None when nothing is near; capitals do not count."""
    by_letters = {each.casefold(): each for each in map(str, known)}
    near = difflib.get_close_matches(str(name).casefold(), list(by_letters), n=1, cutoff=0.6)
    return f"did you mean {by_letters[near[0]]!r}?" if near else None
