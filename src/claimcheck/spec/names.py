"""What a study may be called: its folder, the rules of the pipeline and a package of Python have the same name."""

from __future__ import annotations

import keyword
import re
import sys

from claimcheck.errors import ClaimcheckError

PIPELINE = """
    all assemble claimcheck controls cost crate data docs doctor fetch figures import join judge lecture list
    merge new piece plot power prune publish publish_report records register report reports results run
    shard show slides src store studies tests train tune tuning verdicts verify view why workflow
"""
"""What rules, commands and folders of the pipeline are called, so that no study can be."""

STEPS = ("assemble_", "fetch_", "judge_", "plot_", "publish_", "run_")
"""How the names of the rules for one study begin."""


def check_name(name: str, where: object) -> None:
    """Refuse what cannot name a study: its rules, modules and folders are called after it.

    Args:
        where: the folder or option that gives the name, for the error.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ClaimcheckError(
            "is not a study's name",
            where=where,
            found=name,
            expected="words of lower-case letters and digits, joined by single underscores",
        )
    taken = {
        "a word of Python": keyword.iskeyword(name) or keyword.issoftkeyword(name),
        "a module of Python": name in sys.stdlib_module_names,
        "a name in the pipeline": name in PIPELINE.split() or name.startswith(STEPS),
    }
    for reason, true in taken.items():
        if true:
            raise ClaimcheckError(f"is {reason}", where=where, found=name, hint="choose another name")
