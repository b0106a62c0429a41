"""Makes the parts of a study: pilots and choice, judged runs, records. Survives a kill: finished ensembles are kept.

Each ensemble's outcome is written to `parts/.work/` under a name that hashes what it was made from; a second call reads
what is there and goes on. Processes that make different parts of a study do not meet. A part's files appear by
renaming, whole; what is there already is not made again. What is made while its code is edited is not kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import torch

from claimcheck.data.downloads import check_all
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.memory import keep_freed_memory
from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, sha256
from claimcheck.results import provenance
from claimcheck.results import records as recording
from claimcheck.results.digests import downloads_in
from claimcheck.results.state import WORK, PartFiles, Results
from claimcheck.running.devices import memory_limit, resolve_device
from claimcheck.running.kept import forget_ensembles, locked
from claimcheck.running.remarks import of_no_effect
from claimcheck.running.tuning import beyond, choose, chosen_in_words, with_choice
from claimcheck.running.unchanged import check_unchanged
from claimcheck.spec import design
from claimcheck.spec.config import Config
from claimcheck.spec.jobs import check_goal, judged_count, placed
from claimcheck.spec.models import Study
from claimcheck.spec.modules import place_in, study_module
from claimcheck.spec.parts import ScaledPart

Shard = tuple[int, int]
WHOLE: Shard = (1, 1)


@dataclass
class Listener:
    """Where a run tells how far it is: `log` takes lines, `update(done, total, name)` moves a bar."""

    log: Callable[[str], None] = lambda text: None
    update: Callable[[float, float, str], None] = lambda done, total, name: None


@dataclass
class _Job:
    """A run of some parts of a study in this process.

    Attributes:
        functions: the study's runs.py, imported once: all ensembles are computed by one state of the code.
    """

    results: Results
    functions: ModuleType
    device: torch.device
    listener: Listener
    again: bool = False
    done: int = 0
    total: int = 1

    @property
    def work(self) -> Path:
        """Folder of finished ensembles."""
        return self.results.view / "parts" / WORK

    @cached_property
    def maker(self) -> dict[str, Any]:
        """What makes the files: state of the code, versions, machine."""
        git = provenance.git_state().model_dump()
        return {"git": git, "versions": provenance.versions(), "machine": provenance.machine(self.device)}

    def say(self, place: str, text: str) -> None:
        """One line of the log."""
        self.listener.log(f"{self.results.study.name}/{place}: {text}")


@dataclass
class _Phase:
    """What the ensembles of one part's pilots or judged runs have in common, the ledger of what they took, and what
    made those that an earlier run finished, perhaps on another machine."""

    files: PartFiles
    name: str
    shard: Shard = WHOLE
    ledger: list[dict[str, Any]] = field(default_factory=list)
    makers: list[dict[str, Any]] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.perf_counter)


def run_parts(
    results: Results, names: Iterable[str], listener: Listener | None = None, *, again: bool = False
) -> list[str]:
    """Make the named parts of a study where they are missing or not whole, and tell the names of those that were made.

    Args:
        again: make them even where they are there.

    Raises:
        ClaimcheckError: a data set that one of them reads is not there, before any is made; a run failed.
    """
    wanted = [results.parts[name] for name in names]
    missing = [files for files in wanted if again or files.missing()]
    if not missing:
        return []
    check_all((name for files in missing for name in downloads_in(files.ingredients)), Path(results.config.data_dir))
    job = _job(results, listener, again, missing)
    sizes = [judged_count(files.part) + _pilots(files, again) for files in missing]
    job.total = sum(sizes)
    for files, size in zip(missing, sizes, strict=True):
        if again or files.missing():
            _make(job, files)
        else:  # another process has made it meanwhile
            job.total -= size
    for files in missing:  # not sooner: a pipeline takes back the parts of a job that fails
        forget_ensembles(job.work, files)
    return [files.part.name for files in missing]


def tune_part(results: Results, name: str, listener: Listener | None = None, *, again: bool = False) -> Path:
    """Make the pilots' table of a part that tunes, where it is missing, or `again` all the same."""
    job = _job(results, listener, again, [files := results.parts[name]])
    if files.tuning is None:
        raise ClaimcheckError("tunes nothing", where=f"{results.study.yaml_path}: parts.{name}", found=name)
    job.total = _pilots(files, again)
    _tuned(job, files, again)
    return files.tuning


def run_shard(
    results: Results, name: str, shard: Shard, listener: Listener | None = None, *, again: bool = False
) -> Path:
    """Make every n-th run of each ensemble of a part, starting with the i-th; `join_shards` puts the pieces together.

    Args:
        again: use no ensemble that an earlier run finished; the pilots' table stays.
    """
    job = _job(results, listener, again, [files := results.parts[name]])
    job.total = judged_count(files.part, shard) + _pilots(files, again=False)
    phase = _Phase(files, "confirm", shard)
    frames = _ensembles(job, phase, _judged_runs(job, files))
    empty = pd.DataFrame({"part": [], "run": []}, dtype="string")  # where there are more pieces than runs
    records = recording.concatenate(frames) if frames else empty
    target = files.shard(*shard)
    _seal(job, files, target, records, _facts(job, phase))
    return target


def join_shards(results: Results, name: str, shards: int) -> Path:
    """Put a part's shards together: the same records as of an uncut run. Their finished ensembles are then forgotten."""
    files = results.parts[name]
    pieces = [files.read_shard(i, shards) for i in range(1, shards + 1)]
    frames, facts = [frame for frame, _ in pieces if len(frame)], [each for _, each in pieces]
    total = {
        **facts[0],
        "start": min(fact["start"] for fact in facts),
        "seconds": round(sum(fact["seconds"] for fact in facts), 2),
        "ensembles": [entry for fact in facts for entry in fact["ensembles"]],
        "shards": shards,
        **provenance.made_by_all(facts),
    }
    if files.tuning is not None:
        _add_pilots(total, files)
    recording.write_sealed(files.records, recording.assemble(frames, {name: files.part}), total)
    forget_ensembles(results.view / "parts" / WORK, files)
    return files.records


def check_that_some_run(results: Results) -> None:
    """Raises a ClaimcheckError where no part of the study can be run here."""
    if not results.parts:
        raise ClaimcheckError(
            "no part of the study can run here",
            where=results.study.yaml_path,
            found="; ".join(f"{name}: {reason}" for name, reason in results.not_run.items()),
        )


def assemble(results: Results) -> Path:
    """Put a study's parts together: records, pilots' tables and provenance in the store.

    Raises:
        ClaimcheckError: a part is missing or damaged, or no part of the study can be run here.
    """
    check_that_some_run(results)
    read = [files.read() for files in results.parts.values()]
    parts = {name: files.part for name, files in results.parts.items()}
    recording.write(results.records, recording.assemble([frame for frame, _ in read], parts))
    made = {"records.parquet": results.records}
    if results.tuning is not None:
        tables = [
            files.read_tuning()[0].assign(part=files.part.name)
            for files in results.parts.values()
            if files.tuning is not None
        ]
        recording.write(results.tuning, recording.concatenate(tables))
        made["tuning.parquet"] = results.tuning
    facts = provenance.provenance_of(
        results.study.name,
        results.config.scale,
        results.records_digest,
        [facts for _, facts in read],
        dict(results.not_run),
        {name: sha256(path) for name, path in made.items()},
    )
    provenance.write_provenance(results.provenance, facts)
    return results.records


def _job(results: Results, listener: Listener | None, again: bool, wanted: list[PartFiles]) -> _Job:
    torch.set_num_threads(1)
    keep_freed_memory()
    functions = study_module(results.study.folder, "runs")
    for files in wanted:  # the code just imported is that of the digests, which were computed before
        check_unchanged(results.study, files)
    return _Job(results, functions, resolve_device(results.config.device), listener or Listener(), again)


def _seal(job: _Job, files: PartFiles, path: Path, frame: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Write a file of a part, unless what it is made from is no longer what its digest says."""
    check_unchanged(job.results.study, files)
    recording.write_sealed(path, frame, facts)


def _make(job: _Job, files: PartFiles) -> None:
    """One part: its pilots where it tunes, its runs, its files."""
    runs = _judged_runs(job, files, job.again)
    phase = _Phase(files, "confirm")
    records = recording.assemble(_ensembles(job, phase, runs), {files.part.name: files.part})
    facts = _facts(job, phase)
    if files.tuning is not None:
        _add_pilots(facts, files)
    _seal(job, files, files.records, records, facts)


def _judged_runs(job: _Job, files: PartFiles, tune_again: bool = False) -> pd.DataFrame:
    """The part's judged runs, with the tuned factor's value that its pilots chose where the part tunes one."""
    runs = design.confirmatory_runs(files.part)
    return runs if files.tuning is None else with_choice(runs, _tuned(job, files, tune_again), files.part)


def _tuned(job: _Job, files: PartFiles, again: bool) -> pd.DataFrame:
    """The pilots' table, from its file where it is there and whole and not asked for `again`."""
    assert files.tuning is not None
    if not again and recording.whole(files.tuning):
        return files.read_tuning()[0]
    phase = _Phase(files, "pilot")
    pilots, part, where = [], files.part, job.results.study.yaml_path
    values: list[Any] = list(part.tune.values)
    while values:
        grid = part.model_copy(update={"tune": part.tune.model_copy(update={"values": values})})
        runs = design.pilot_runs(grid)
        job.total += len(runs) if pilots else 0  # the given grid is counted already
        pilots += _ensembles(job, phase, runs)
        tried = pd.concat(pilots, ignore_index=True)
        check_goal(tried, part, where)
        table = choose(tried, part, where)
        values = beyond(table, part)
    _seal(job, files, files.tuning, table, _facts(job, phase))
    for line in [*chosen_in_words(table, files.part), *of_no_effect(table, files.part)]:
        job.say(files.part.name, line)
    return table


def _add_pilots(facts: dict[str, Any], files: PartFiles) -> None:
    """Add to a part's facts what its pilots took and chose."""
    assert files.tuning is not None
    assert files.part.tune is not None
    table, pilots = files.read_tuning()
    facts["ensembles"] = [*pilots["ensembles"], *facts["ensembles"]]
    facts["seconds"] = round(facts["seconds"] + pilots["seconds"], 2)
    facts["start"] = min(facts["start"], pilots["start"])
    facts |= provenance.made_by_all([facts, pilots])
    facts["pilot_seeds"] = files.part.tune.seeds
    facts["arms"] = int(table["chosen"].sum())
    facts["arms_at_edge"] = int((table["at_edge"] & ~table["failed"]).sum())
    facts["arms_failed"] = int((table["chosen"] & table["failed"]).sum())


def _facts(job: _Job, phase: _Phase) -> dict[str, Any]:
    return {
        "study": job.results.study.name,
        "scale": job.results.config.scale,
        "part": phase.files.part.name,
        "digest": phase.files.digest,
        "ingredients": dict(phase.files.ingredients),
        "start": phase.started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - phase.clock, 2),
        "ensembles": phase.ledger,
        "seeds": phase.files.part.seeds,
        "threads": torch.get_num_threads(),
        **provenance.made_by_all([job.maker, *phase.makers]),
    }


def _pilots(files: PartFiles, again: bool) -> int:
    """The pilot runs that a job makes of a part, before its grid is extended."""
    if files.tuning is None or (not again and recording.whole(files.tuning)):
        return 0
    return len(design.pilot_runs(files.part))


def _ensembles(job: _Job, phase: _Phase, runs: pd.DataFrame) -> list[pd.DataFrame]:
    """The records of all ensembles of `runs`."""
    pieces = design.ensembles(phase.files.part, runs, phase.name, phase.shard)
    return [_ensemble(job, phase, piece) for piece in pieces]


def _ensemble(job: _Job, phase: _Phase, piece: design.EnsembleDesign) -> pd.DataFrame:
    """One ensemble's records, from `.work/` if a run before this one finished it, else computed and kept there."""
    # The study's name decides its random numbers, and is no ingredient of the digest.
    made_of = [phase.files.study, phase.files.digest, piece.name, piece.runs.to_csv(index=False), str(job.device)]
    key = hash_of(made_of)
    path = job.work / f"{phase.files.part.name}-{phase.files.digest}.{key}.parquet"
    with locked(path):
        if not job.again and recording.whole(path):
            frame, facts = recording.read_sealed(path, "")
            job.say(piece.name, "kept from an earlier run")
        else:
            frame, facts = _compute(job, phase.files, piece)
            _seal(job, phase.files, path, frame, {**facts, "maker": job.maker})
    phase.makers.append(facts.pop("maker", job.maker))
    phase.ledger.append(facts)
    job.done += len(piece.runs)
    job.listener.update(job.done, job.total, piece.name)
    return frame


def _compute(job: _Job, files: PartFiles, piece: design.EnsembleDesign) -> tuple[pd.DataFrame, dict[str, Any]]:
    part, study = files.part, job.results.study
    context = context_for(
        study,
        job.results.config,
        part,
        piece,
        job.device,
        log=lambda text: job.say(piece.name, text),
        advance=lambda share: job.listener.update(job.done + share * len(piece.runs), job.total, piece.name),
    )
    wall, cpu = time.perf_counter(), time.process_time()
    name = study.run_function(part.name)
    where = f"{study.folder / 'runs.py'}: {name}"
    function = getattr(job.functions, name)
    try:
        raw = function(piece.runs.copy(), context)
    except KeyboardInterrupt:
        raise
    except ClaimcheckError as error:
        raise placed(error, f"{study.yaml_path}: parts.{part.name}") from error
    except MemoryError as error:
        hint = "--memory-limit-mb cuts ensembles to stay below a limit"
        raise ClaimcheckError(f"ran out of memory on {piece.name}", where=where, hint=hint) from error
    except (Exception, SystemExit) as error:  # sys.exit() in a study's code must not pass for a finished run
        fault = f"failed on {piece.name}{place_in(study.folder, error)} ({type(error).__name__}: {error})"
        raise ClaimcheckError(fault, where=where) from error
    frame = recording.check_outcome(raw, piece.runs, part, where=where)
    facts = {
        "name": piece.name,
        "runs": len(piece.runs),
        "seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_memory_mib": provenance.peak_memory_mib(),
        **context.notes,
    }
    job.say(piece.name, f"{len(piece.runs)} runs in {facts['seconds']:.1f} s")
    return frame, facts


def context_for(
    study: Study, config: Config, part: ScaledPart, piece: design.EnsembleDesign, device: torch.device, **more: Any
) -> Context:
    """What a run function is given beside the runs of `piece`; pilots have the tuning's own settings.

    Args:
        more: further attributes of the context, such as where it logs.
    """
    pilot = part.tune.settings if part.tune and piece.phase == "pilot" else {}
    return Context(
        study=study.name,
        scale=config.scale,
        part=part.name,
        settings=Settings({**part.settings, **pilot}, f"{study.yaml_path}: {part.name}"),
        device=device,
        data_dir=Path(config.data_dir),
        memory_limit=memory_limit(config, device),
        design_runs=piece.design_runs,
        **more,
    )
