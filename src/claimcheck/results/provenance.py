"""Where a result comes from: code, versions, machine, time. No user name, no host name, no path of the machine.

`PartFacts` is written beside each part's records, `Provenance` is a study's provenance.json: the same models write and
read them.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_json
from claimcheck.results.seals import read_sealed, sealed

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "mnist1d", "claimcheck")


class _Facts(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


Shape = TypeVar("Shape", bound=_Facts)


class Git(_Facts):
    """Commit of the code, and whether tracked files differed from it; None where there is no repository."""

    commit: str | None = None
    dirty: bool | None = None


class Ensemble(_Facts):
    """One ensemble: how many runs, and what it took. The engine adds notes of its own."""

    name: str
    runs: int
    seconds: float
    cpu_seconds: float
    peak_memory_mib: float


class PartFacts(_Facts):
    """How a part's records, or its pilots' table, were made."""

    study: str
    scale: str
    part: str
    digest: str
    ingredients: dict[str, str]
    start: str
    seconds: float
    ensembles: list[Ensemble]
    seeds: int
    pilot_seeds: int = 0
    arms: int = 0
    arms_at_edge: int = 0
    arms_failed: int = 0
    threads: int = 1
    shards: int = 1
    git: Git = Git()
    versions: dict[str, str] = {}
    machine: dict[str, str | int | float | None] = {}


class Provenance(_Facts):
    """What a study's records were made from, on which machines, in what time: provenance.json.

    Attributes:
        digest: of the records; every later step's results carry one that follows from it.
        start, seconds, ensembles, peak_memory_mib, …: of all parts together.
        parts: each part's own facts.
        not_run: why a part is not among the records.
        files: SHA-256 of the files beside this one.
    """

    study: str
    scale: str
    digest: str
    start: str
    seconds: float
    peak_memory_mib: float
    seeds: dict[str, int]
    parts: dict[str, PartFacts]
    not_run: dict[str, str] = {}
    files: dict[str, str] = {}

    @property
    def ensembles(self) -> list[Ensemble]:
        """Every ensemble of every part, in order."""
        return [each for part in self.parts.values() for each in part.ensembles]


def provenance_of(
    study: str, scale: str, digest: str, parts: list[PartFacts], not_run: dict[str, str], files: dict[str, str]
) -> Provenance:
    """A study's provenance from its parts'."""
    ensembles = [each for part in parts for each in part.ensembles]
    return Provenance(
        study=study,
        scale=scale,
        digest=digest,
        start=min(part.start for part in parts),
        seconds=round(sum(part.seconds for part in parts), 2),
        peak_memory_mib=max(each.peak_memory_mib for each in ensembles),
        seeds={part.part: part.seeds for part in parts},
        parts={part.part: part for part in parts},
        not_run=not_run,
        files=files,
    )


def write_provenance(path: Path, facts: Provenance) -> None:
    """Write provenance.json with its checksum."""
    write_json(path, sealed(facts.model_dump()))


def read_provenance(path: Path, remedy: str, study: str | None = None) -> Provenance:
    """Read a sealed provenance.json.

    Args:
        remedy: the command that makes it again, for the error.
        study: whose it must be; None: any study's.

    Raises:
        ClaimcheckError: missing, not JSON, of a strange shape, of another study, or changed after the run.
    """
    found = _facts(Provenance, read_sealed(path, remedy), path, f"make it again: {remedy}")
    if study is not None:
        check_study(found, study, path, remedy)
    return found


def check_study(facts: PartFacts | Provenance, study: str, path: Path, remedy: str) -> None:
    """Refuse what was made under another study's name, such as before the study was renamed.

    Args:
        remedy: the command that makes the study's own, for the error.

    Raises:
        ClaimcheckError: of another study.
    """
    if facts.study != study:
        raise ClaimcheckError(
            "is of another study, whose name decides its random numbers",
            where=path,
            found=facts.study,
            expected=study,
            hint=f"give the study its old name back, or delete its results, then: {remedy}",
        )


def part_facts(facts: object, path: Path, hint: str) -> PartFacts:
    """What a sealed file of a part says of its making.

    Args:
        hint: what to do about a file that cannot be used, for the error.

    Raises:
        ClaimcheckError: of a strange shape, such as of an earlier version of claimcheck.
    """
    return _facts(PartFacts, facts, path, hint)


def _facts(model: type[Shape], facts: object, path: Path, hint: str) -> Shape:
    try:
        return model.model_validate(facts)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ClaimcheckError(
            f"provenance of a strange shape ({fault['msg']})",
            where=f"{path}: {'.'.join(map(str, fault['loc']))}",
            found=repr(fault.get("input"))[:80],
            hint=hint,
        ) from None


def git_state() -> Git:
    """Commit of the repository that tracks this package's own files, whatever the working folder; none without one."""
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return Git()
    commit = _git(here.parent, "rev-parse", "HEAD")
    if commit is None:
        return Git()
    return Git(commit=commit, dirty=bool(_git(here.parent, "status", "--porcelain", "--untracked-files=no")))


def _git(folder: Path, *words: str) -> str | None:
    """What git says in `folder`, without the variables that would send it elsewhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def machine(device: Any = None) -> dict[str, Any]:
    """Processor, cores, memory and accelerator; nothing that names its owner."""
    facts: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "instructions": _instructions(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "device": str(device) if device is not None else "cpu",
    }
    if device is not None and getattr(device, "type", "cpu") == "cuda":
        import torch

        facts["accelerator"] = torch.cuda.get_device_name(device)
        facts["accelerator_memory_gib"] = round(torch.cuda.get_device_properties(device).total_memory / 2**30, 1)
    return facts


def made_by_all(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The state of the code, versions and machine of what was made in pieces, each of which has these facts.

    Where pieces differ in an entry, it names every value: "AVX2; AVX512".
    """
    git = [piece["git"] for piece in pieces]
    dirty = [each["dirty"] for each in git if each["dirty"] is not None]
    commit = _every(each["commit"] for each in git)
    together: dict[str, Any] = {"git": {"commit": commit, "dirty": any(dirty) if dirty else None}}
    for fact in ("versions", "machine"):
        names = dict.fromkeys(name for piece in pieces for name in piece[fact])
        together[fact] = {name: _every(piece[fact].get(name) for piece in pieces) for name in names}
    return together


def _every(values: Iterable[Any]) -> Any:
    """A value that is the only one; several in one text, each once, also of texts that were joined before."""
    each = [one for value in values for one in (value.split("; ") if isinstance(value, str) else [value])]
    different = list(dict.fromkeys(one for one in each if one is not None))
    return "; ".join(map(str, different)) if len(different) > 1 else different[0] if different else None


def processor_of(fact: PartFacts) -> str:
    """The processor that made a part's records, with the vectors that PyTorch used on it, where they were noted."""
    known = (fact.machine.get(name) for name in ("processor", "instructions"))
    return ", ".join(str(each) for each in known if each) or "unknown processor"


def machines(facts: Iterable[PartFacts]) -> str:
    """The processors, and accelerators, that made some parts' records."""
    found = (", ".join(filter(None, (processor_of(fact), fact.machine.get("accelerator")))) for fact in facts)
    return "; ".join(dict.fromkeys(found))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _instructions() -> str:
    """The widest vectors that PyTorch's kernels use on this processor, such as AVX2: others add in another order."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
