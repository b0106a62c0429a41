"""`claimcheck register`: what a judged run will hold a study to, written down before it, with seeds of its own."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_text, write_text
from claimcheck.spec.models import Study
from claimcheck.spec.parts import BLOCK, ROOM
from claimcheck.streams import FIRST_BLOCK

JUDGED = "quick"
"""The scale of the judged run; others tell whether the code works, or how far a verdict carries."""


def register(study: Study, digest: str, says: str, superseded: str | None = None) -> Path:
    """Add an entry to the study's registrations.yaml.

    Args:
        digest: of design, predictions and rule as they stand.
        superseded: what was wrong with the registration that stands, which this one replaces.

    Raises:
        ClaimcheckError: a registration stands and nothing is said of why it is replaced, or none stands that could be;
            or a text is empty.
    """
    path = study.folder / "registrations.yaml"
    for option, text in (("says", says), ("superseded", superseded)):
        if text is not None and not text.strip():
            raise ClaimcheckError("must not be empty", where=f"register --{option}", hint="say it in a few sentences")
    standing = study.registration
    if standing is not None and superseded is None:
        raise ClaimcheckError(
            f"registration {standing.number} stands", where=path, hint="say what was wrong with it: --superseded TEXT"
        )
    if standing is None and superseded is not None:
        raise ClaimcheckError(
            "no registration stands that this one replaces", where=path, hint="leave out --superseded"
        )
    entries = [entry.model_dump(exclude_defaults=True) for entry in study.registrations]
    if standing is not None:
        entries[-1]["superseded"] = superseded
    used = [entry.first_seed for entry in study.registrations]
    first = max([FIRST_BLOCK, *(seed + ROOM * BLOCK for seed in used if seed >= FIRST_BLOCK)])
    entry = {"number": len(entries) + 1, "date": f"{datetime.now(UTC):%Y-%m-%d}", "first_seed": first}
    _write(path, [*entries, {**entry, "digest": digest, "says": says}])
    return path


def note_verdicts(study: Study, verdicts: dict[str, str], controls: dict[str, Any], machine: str) -> Path:
    """Write what the judged run came to into the registration that stands.

    Args:
        verdicts: of each prediction, by its id.
        controls: how many were `asked`, and which `passed` though they must not.
        machine: what the run was made on.
    """
    path = study.folder / "registrations.yaml"
    if study.registration is None:
        raise ClaimcheckError("no registration stands", where=path, hint="register first what is judged: --says TEXT")
    entries = [entry.model_dump(exclude_defaults=True) for entry in study.registrations]
    counts = dict(Counter(verdicts.values()))
    noted, each = entries[-1].get("verdicts"), entries[-1].get("predictions", verdicts)
    if noted and (noted, each) != (counts, verdicts):
        other = {name: verdict for name, verdict in verdicts.items() if each.get(name) != verdict}
        raise ClaimcheckError(
            "the judged run is made once, and came to other verdicts",
            where=f"{path}: {study.registration.number}.verdicts",
            found=other or counts,
            expected={name: each.get(name) for name in other} or noted,
            hint=f"where it was made on another machine ({entries[-1].get('machine') or 'not noted'} there, {machine} "
            "here), rounding and times differ, and what is noted stands; else what the runs do was changed since: take "
            "it back, or register anew",
        )
    if not noted:
        entries[-1] |= {"verdicts": counts, "predictions": verdicts, "machine": machine}
    entries[-1]["controls"] = controls
    _write(path, entries)
    return path


def _write(path: Path, entries: list[dict]) -> None:
    """Write the entries below whatever comment the file begins with."""
    lines = read_text(path).splitlines() if path.is_file() else []
    comment = "".join(f"{line}\n" for line in lines[: next((i for i, x in enumerate(lines) if x[:1] != "#"), 0)])
    body = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=100)
    write_text(path, comment + body)
