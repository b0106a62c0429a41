"""`claimcheck doctor`: is everything here that a run, a report and the full scale need? Changes no result."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from claimcheck.running.compiler import compiler_fault

if TYPE_CHECKING:
    from claimcheck.spec.models import Study


@dataclass(frozen=True)
class Check:
    """One line of the doctor's list.

    Attributes:
        subject: what was looked at.
        state: "ok", "missing" (something optional is not there) or "broken" (the pipeline cannot work).
        found: what was found, and what to do about it.
    """

    subject: str
    state: str
    found: str


def examine(studies_dir: Path, results_dir: Path, data_dir: Path) -> list[Check]:
    """Every check, in the order a user would want to mend them."""
    return [
        _python(),
        *(_package(name, "broken") for name in ("torch", "torchvision", "pandas", "pyarrow", "scipy", "seaborn")),
        _package("snakemake", "missing", "claimcheck run works without; the pipeline does not"),
        _package("pypandoc", "missing", "needed for the report (pypandoc_binary)"),
        _package("typst", "missing", "needed for the PDF"),
        _compiler(),
        _accelerator(),
        _disk(results_dir),
        *_data(data_dir),
        *_studies(studies_dir),
        *_lecture(studies_dir),
    ]


def _python() -> Check:
    version = sys.version.split()[0]
    good = sys.version_info >= (3, 11)
    return Check("Python", "ok" if good else "broken", version if good else f"{version}; 3.11 or newer is needed")


def _package(name: str, otherwise: str, remark: str = "run: make env") -> Check:
    if util.find_spec(name) is None:
        return Check(name, otherwise, f"not installed; {remark}")
    try:
        return Check(name, "ok", metadata.version({"pypandoc": "pypandoc_binary"}.get(name, name)))
    except metadata.PackageNotFoundError:
        return Check(name, "ok", "installed, version unknown")


def _compiler() -> Check:
    fault = compiler_fault()
    if fault is None:
        named = Path(os.environ.get("CXX", "the default one")).name
        return Check("C++ compiler", "ok", f"{named}: a trial compiles, links and runs")
    remark = "training runs uncompiled, slower, to the same verdicts; parts that need a compiler are skipped"
    return Check("C++ compiler", "missing", f"{fault}; {remark}")


def _accelerator() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("GPU", "missing", "none that CUDA can use; everything runs on the CPU")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Check("GPU", "ok", ", ".join(names))


def _disk(results_dir: Path) -> Check:
    folder = next(
        path for path in [Path(results_dir).absolute(), *Path(results_dir).absolute().parents] if path.exists()
    )
    free = shutil.disk_usage(folder).free / 2**30
    state = "ok" if free > 1 else "broken"
    return Check("disk", state, f"{free:.1f} GiB free where results go" + ("" if free > 1 else "; 1 GiB is needed"))


def _data(data_dir: Path) -> list[Check]:
    from claimcheck.data.downloads import SOURCES, faults

    checks = []
    where = "" if data_dir == Path("data") else f" --data-dir {shlex.quote(str(data_dir))}"
    for name in SOURCES:
        wrong = faults(name, data_dir)
        if not wrong:
            checks.append(Check(f"data {name}", "ok", "whole, checked against its published checksums"))
            continue
        damaged = [path.name for path, fault in wrong.items() if fault == "damaged"]
        found = f"damaged: {', '.join(damaged)}" if damaged else "not there, or not unpacked"
        checks.append(
            Check(
                f"data {name}", "missing", f"{found}; run: claimcheck data fetch {name}{where} (where a study uses it)"
            )
        )
    return checks


def _studies(studies_dir: Path) -> list[Check]:
    from claimcheck.errors import ClaimcheckError
    from claimcheck.spec.reading import load_study, study_names

    checks = []
    for name in study_names(studies_dir):
        try:
            faults = _faults(load_study(studies_dir, name))
        except ClaimcheckError as error:
            faults = [str(error)]
        checks += [Check(f"study {name}", "broken", fault) for fault in faults]
        if not faults:
            checks.append(Check(f"study {name}", "ok", "its yaml and code agree"))
    return checks


def _lecture(studies_dir: Path) -> list[Check]:
    """What is common to the studies: the lecture's file names only studies that are there, the bibliography has keys."""
    from claimcheck.errors import ClaimcheckError
    from claimcheck.spec import references
    from claimcheck.spec.reading import load_lecture, study_names

    try:
        lecture = load_lecture(studies_dir)
        references.keys(studies_dir)
    except ClaimcheckError as error:
        return [Check("lecture", "broken", str(error))]
    named = {claim.study: f"claim {claim.id}" for claim in lecture.claims().values() if claim.study is not None}
    if lecture.headline is not None:
        named.setdefault(lecture.headline.partition("/")[0], "headline")
    there = study_names(studies_dir)
    lacking = [f"{place} names study {name}, which is not there" for name, place in named.items() if name not in there]
    found = f"{len(lecture.claims())} claims; every study that {studies_dir / 'lecture.yaml'} names is there"
    return [Check("lecture", "missing", each) for each in lacking] or [Check("lecture", "ok", found)]


def _faults(study: Study) -> list[str]:
    """What of a study cannot be judged: too few units at a scale that decides, or not what was registered.

    Raises:
        ClaimcheckError: a file of its folder is not Python, or its notes name what is not there.
    """
    from claimcheck.judging.power import undecidable
    from claimcheck.report import notes
    from claimcheck.results.digests import registration_digest
    from claimcheck.spec.modules import syntax_tree

    notes.check(study)
    for path in sorted(study.folder.glob("**/*.py")):
        syntax_tree(path.read_bytes(), path)
    found = []
    for scale in [scale for scale in ("quick", "full") if scale in study.scales]:
        remark = "give its part more, or say why it is kept: undecidable"
        found += [f"{study.yaml_path}: scale {scale}: {fault}; {remark}" for fault in undecidable(study, scale)]
    registration = study.registration
    if registration is not None and registration.digest not in (None, registration_digest(study)):
        found.append(
            f"{study.folder / 'registrations.yaml'}: {registration.number}: design, predictions or rule changed since;"
            " take the change back, or register anew"
        )
    return found
