"""`claimcheck import`: take over results that were made on another machine, after checking every hash.

The records keep the provenance of the machine that made them. Verdicts and figures are not taken over: they are made
here, from the records, by the judge and the plots of this checkout.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from claimcheck.results import digests as fingerprint
from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, sha256, write_atomically
from claimcheck.results.seals import read_provenance
from claimcheck.spec.models import Config, Study

MACHINE = ("torch",)
"""Ingredients that may differ between machines: they are told in the report, they do not make a result a stranger's."""


def import_results(source: Path, study: Study, config: Config) -> list[str]:
    """Copy one study's records and provenance from `source` into the results, if they are whole and of this design.

    Args:
        source: a folder that `claimcheck run` wrote (with records.parquet and provenance.json).

    Returns:
        What differs in ways that are allowed (the torch version), in words.

    Raises:
        ClaimcheckError: files missing or damaged, another study or scale, or made from another design or code.
    """
    facts = read_json(source / "provenance.json")
    for key, wanted in (("study", study.name), ("scale", config.scale)):
        if not isinstance(facts, dict) or facts.get(key) != wanted:
            found = facts.get(key) if isinstance(facts, dict) else type(facts).__name__
            raise ClaimcheckError(
                f"is not of this {key}", where=source / "provenance.json", found=found, expected=wanted
            )
    facts = read_provenance(source / "provenance.json", required=("ingredients", "files"))
    files = facts["files"]
    if "records.parquet" not in files:
        raise ClaimcheckError("names no records", where=source / "provenance.json", hint="copy the whole folder again")
    for name, digest in files.items():
        if Path(name).name != name or not (source / name).is_file():
            raise ClaimcheckError("no such file beside its provenance", where=source / name)
        if sha256(source / name) != digest:
            raise ClaimcheckError("is not the file that the run wrote", where=source / name, hint="copy it again")
    seeds = config.seeds
    wanted = fingerprint.run_parts(study, config.scale, config)
    differing = [
        name
        for name in {*facts["ingredients"], *wanted}
        if facts["ingredients"].get(name) != wanted.get(name) and not name.startswith("data ")
    ]
    if strange := sorted(set(differing) - set(MACHINE)):
        raise ClaimcheckError(
            f"was made from other code or another design ({', '.join(strange)})",
            where=source,
            hint="check out the commit of its provenance, or run it again" if seeds is None else "check --seeds",
        )
    target = config.results_of(study.name)
    for name in [*files, "provenance.json"]:
        with write_atomically(target / name) as temporary:
            shutil.copyfile(source / name, temporary)
    return [f"torch {facts['versions'].get('torch')} made it" for name in differing if name == "torch"]
