"""Refuses to keep what a part's code made while that code was edited: the digest in a file's name says which code it was.

The code that runs was read when the run began. What is imported later, and what a file says by then, may be another.
"""

from __future__ import annotations

from claimcheck.errors import ClaimcheckError
from claimcheck.results.digests import differences, part_ingredients
from claimcheck.results.parts import PartFiles
from claimcheck.spec.models import Study


def check_unchanged(study: Study, files: PartFiles) -> None:
    """Compare a part's sources, as they are now, with those of its digest; takes milliseconds.

    Raises:
        ClaimcheckError: they differ.
    """
    try:
        changed = differences(files.ingredients, part_ingredients(study, files.part))
    except (ClaimcheckError, OSError) as error:  # half-written, or gone
        changed = [f"the code changed ({error})"]
    if changed:
        raise ClaimcheckError(
            f"{'; '.join(changed)} while it ran; records of no one state of the code are not kept",
            where=f"{study.yaml_path}: parts.{files.part.name}",
            hint=f"run it again: {files.remedy}",
        )
