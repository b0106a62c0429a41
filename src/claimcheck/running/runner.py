"""Run a study: pilots, confirmatory runs, records. Survives a kill: every finished ensemble is kept until the end.

Each ensemble's outcome is written to `.work/` under a name that hashes what it was made from; a second call reads what
is there and goes on. `records.parquet` and `provenance.json` appear last, by renaming.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock

from claimcheck.spec import design
from claimcheck.results import digests as fingerprint
from claimcheck.results import provenance
from claimcheck.results import records as recording
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.memory import keep_freed_memory
from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, make_folder, sha256, write_json
from claimcheck.results.seals import read_provenance, sealed
from claimcheck.spec.models import Config, ScaledPart, Study, run_function

CPU_BYTES, GPU_BYTES = 3 * 2**30, 12 * 2**30
"""What an ensemble may take where nothing else is configured: a job asks a cluster for 4 GB, and a card of 16 GB is
enough. So many networks keep either busy; more at once are no faster."""


@dataclass
class Progress:
    """Where a run tells how far it is: `log` takes lines, `update(done, total, name)` moves a bar."""

    log: Callable[[str], None] = lambda text: None
    update: Callable[[float, float, str], None] = lambda done, total, name: None


@dataclass
class _Job:
    study: Study
    config: Config
    device: torch.device
    folder: Path
    ingredients: dict[str, str]
    progress: Progress
    shard: tuple[int, int] = (1, 1)
    done: float = 0.0
    total: float = 1.0
    ledger: list[dict[str, Any]] = field(default_factory=list)


def resolve_device(name: str) -> torch.device:
    """The torch device for "auto", "cpu", "cuda" or "cuda:N"."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ClaimcheckError("no CUDA device is available", where="device", found=name, hint="use --device cpu")
        index = int(name.split(":")[1]) if ":" in name else 0
        if index >= torch.cuda.device_count():
            raise ClaimcheckError(
                "no such CUDA device", where="device", found=name, expected=f"cuda:0 … {torch.cuda.device_count() - 1}"
            )
    return torch.device(name)


def memory_limit(config: Config, device: torch.device) -> int:
    """Bytes, by estimate, above which an ensemble is cut into tiles."""
    if config.memory_limit_mb:
        return config.memory_limit_mb * 2**20
    return GPU_BYTES if device.type == "cuda" else CPU_BYTES


def has_compiler() -> bool:
    """Whether torch.compile can make programs for the CPU."""
    return bool(shutil.which("g++") or shutil.which("clang++"))


def up_to_date(study: Study, config: Config) -> bool:
    """Whether finished records exist, undamaged, that were made from exactly the present ingredients."""
    folder = config.results_of(study.name)
    if not (folder / "records.parquet").is_file() or not (folder / "provenance.json").is_file():
        return False
    try:
        kept = read_provenance(folder / "provenance.json", required=("ingredients", "files"))
    except ClaimcheckError:
        return False
    whole = all((folder / name).is_file() and sha256(folder / name) == digest for name, digest in kept["files"].items())
    return whole and kept["ingredients"] == fingerprint.run_parts(study, config.scale, config)


def run_study(study: Study, config: Config, progress: Progress | None = None, shard: tuple[int, int] = (1, 1)) -> Path:
    """Run `study` at the configured scale and write its records and provenance.

    Args:
        shard: (i, n) runs only every n-th run of each ensemble; `merge_shards` puts the pieces together.

    Returns:
        The folder with the results (for a shard: the shard's parquet).
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    device = resolve_device(config.device)
    folder = config.results_of(study.name)
    ingredients = fingerprint.run_parts(study, config.scale, config)
    job = _Job(study, config, device, folder, ingredients, progress or Progress(), shard)
    started, clock = datetime.now(UTC), time.perf_counter()
    parts = {name: part for name, part in study.at(config.scale, config.seeds).items() if _runs_here(job, part)}
    job.total = float(sum(_size(part) for part in parts.values()))
    frames, tunings = [], []
    for part in parts.values():
        tuning, runs = _tuned(job, part)
        tunings += [tuning] if tuning is not None else []
        frames += [_ensemble(job, part, piece) for piece in design.ensembles(part, runs, "confirm", shard)]
    if not frames:
        raise ClaimcheckError("no part of the study can run here", where=study.yaml_path, found=f"scale {config.scale}")
    records = recording.assemble(frames, study.at(config.scale, config.seeds))
    facts = {
        "study": study.name,
        "scale": config.scale,
        "start": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 2),
        "ensembles": job.ledger,
        "ensemble_seconds": round(sum(entry["seconds"] for entry in job.ledger), 2),
        "peak_memory_mib": max(entry["peak_memory_mib"] for entry in job.ledger),
        "seeds": {name: part.seeds for name, part in parts.items()},
        "pilot_seeds": {name: part.tune.seeds for name, part in parts.items() if part.tune},
        "not_run": sorted(set(study.all_parts()) - set(parts)),
        "threads": torch.get_num_threads(),
        "ingredients": ingredients,
        "fingerprint": fingerprint.combined(ingredients),
        "git": provenance.git_state(),
        "versions": provenance.versions(),
        "machine": provenance.machine(device),
    }
    return _finish(job, records, tunings, facts)


def _runs_here(job: _Job, part: ScaledPart) -> bool:
    if part.seeds == 0:
        return False
    if part.needs_gpu and job.device.type != "cuda":
        job.progress.log(f"{job.study.name}/{part.name}: not run, it needs a GPU")
        return False
    if part.needs_compiler and not has_compiler():
        job.progress.log(f"{job.study.name}/{part.name}: not run, it needs a C++ compiler")
        return False
    return True


def _size(part: ScaledPart) -> int:
    """Rough share of the work, for the progress bar: runs, pilots included."""
    cells = len(design.combinations(part))
    return cells * part.seeds + (cells * len(part.tune.values) * part.tune.seeds if part.tune else 0)


def _tuned(job: _Job, part: ScaledPart) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """The part's confirmatory runs, with the tuned factor's value chosen on pilot seeds where the part tunes one."""
    runs = design.confirmatory_runs(part)
    if part.tune is None:
        return None, runs
    pilots = [_ensemble(job, part, piece) for piece in design.ensembles(part, design.pilot_runs(part), "pilot")]
    table = recording.choose(pd.concat(pilots, ignore_index=True), part, where=job.study.yaml_path)
    arm = recording.arm_columns(part)
    chosen = table[table["chosen"]][[*arm, part.tune.factor]]
    joined = (
        runs.merge(chosen, on=arm, how="left", validate="many_to_one")
        if arm
        else runs.assign(**{part.tune.factor: chosen[part.tune.factor].iloc[0]})
    )
    return table.assign(part=part.name), joined


def _ensemble(job: _Job, part: ScaledPart, piece: design.EnsembleDesign) -> pd.DataFrame:
    """One ensemble's records, from `.work/` if a run before this one finished it, else computed and kept there."""
    key = hash_of([job.ingredients, piece.name, piece.runs.to_csv(index=False), str(job.device)])
    path = job.folder / ".work" / f"{key}.parquet"
    make_folder(path.parent)
    with FileLock(path.with_suffix(".lock")):
        kept = recording.read_checkpoint(path)
        if kept is None:
            kept = _compute(job, part, piece)
            recording.write_checkpoint(path, *kept)
        else:
            job.progress.log(f"{job.study.name}/{piece.name}: kept from an earlier run")
    frame, facts = kept
    job.ledger.append(facts)
    job.done += len(piece.runs)
    job.progress.update(job.done, job.total, piece.name)
    return frame


def _compute(job: _Job, part: ScaledPart, piece: design.EnsembleDesign) -> tuple[pd.DataFrame, dict[str, Any]]:
    settings = {**part.settings, **(part.tune.settings if part.tune and piece.phase == "pilot" else {})}
    if job.study.factors is not None:
        settings = part.settings
    context = Context(
        study=job.study.name,
        scale=job.config.scale,
        part=part.name,
        settings=Settings(settings, f"{job.study.yaml_path}: {part.name}"),
        device=job.device,
        data_dir=Path(job.config.data_dir),
        memory_limit=memory_limit(job.config, job.device),
        design_runs=piece.design_runs,
        log=lambda text: job.progress.log(f"{job.study.name}/{piece.name}: {text}"),
        advance=lambda share: job.progress.update(job.done + share * len(piece.runs), job.total, piece.name),
    )
    wall, cpu = time.perf_counter(), time.process_time()
    function = getattr(job.study.code("run"), run_function(job.study, part.name))
    try:
        raw = function(piece.runs.copy(), context)
    except (ClaimcheckError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        where = f"{job.study.code_path}: {function.__name__}"
        raise ClaimcheckError(f"failed on {piece.name} ({type(error).__name__}: {error})", where=where) from error
    frame = recording.check_outcome(raw, piece.runs, part, where=f"{job.study.code_path}: {function.__name__}")
    facts = {
        "name": piece.name,
        "runs": len(piece.runs),
        "seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_memory_mib": provenance.peak_memory_mib(),
        **context.notes,
    }
    job.progress.log(f"{job.study.name}/{piece.name}: {len(piece.runs)} runs in {facts['seconds']:.1f} s")
    return frame, facts


def _finish(job: _Job, records: pd.DataFrame, tunings: list[pd.DataFrame], facts: dict[str, Any]) -> Path:
    folder = job.folder if job.shard == (1, 1) else job.folder / "shards" / f"{job.shard[0]}-of-{job.shard[1]}"
    recording.write(folder / "records.parquet", records)
    facts["files"] = {"records.parquet": sha256(folder / "records.parquet")}
    if tunings:
        recording.write(folder / "tuning.parquet", recording.concatenate(tunings))
        facts["files"]["tuning.parquet"] = sha256(folder / "tuning.parquet")
    write_json(folder / "provenance.json", sealed(facts))
    if job.shard == (1, 1):
        shutil.rmtree(job.folder / ".work", ignore_errors=True)
    return folder


def merge_shards(study: Study, config: Config, shards: int) -> Path:
    """Put a study's shards together: the same records, bit for bit, as of an uncut run."""
    folder = config.results_of(study.name)
    pieces = [folder / "shards" / f"{i}-of-{shards}" for i in range(1, shards + 1)]
    for piece in pieces:
        if not (piece / "provenance.json").is_file():
            raise ClaimcheckError(
                "this shard has not been run", where=piece, hint=f"run --shard {piece.name.replace('-of-', '/')}"
            )
    facts = [read_provenance(piece / "provenance.json", ("fingerprint", "files", "ensembles")) for piece in pieces]
    wanted = fingerprint.combined(fingerprint.run_parts(study, config.scale, config))
    for piece, fact in zip(pieces, facts, strict=True):
        if fact["fingerprint"] != wanted or fact["files"]["records.parquet"] != sha256(piece / "records.parquet"):
            raise ClaimcheckError("this shard is stale or damaged", where=piece, hint="run it again")
    frames = [recording.read(piece / "records.parquet") for piece in pieces]
    merged = recording.assemble(frames, study.at(config.scale, config.seeds))
    recording.write(folder / "records.parquet", merged)
    total = {
        **facts[0],
        "seconds": round(sum(fact["seconds"] for fact in facts), 2),
        "ensemble_seconds": round(sum(fact["ensemble_seconds"] for fact in facts), 2),
        "ensembles": [entry for fact in facts for entry in fact["ensembles"]],
        "peak_memory_mib": max(fact["peak_memory_mib"] for fact in facts),
        "shards": shards,
        "files": {"records.parquet": sha256(folder / "records.parquet")},
    }
    if (pieces[0] / "tuning.parquet").is_file():
        recording.write(folder / "tuning.parquet", recording.read(pieces[0] / "tuning.parquet"))
        total["files"]["tuning.parquet"] = sha256(folder / "tuning.parquet")
    write_json(folder / "provenance.json", sealed(total))
    shutil.rmtree(folder / "shards", ignore_errors=True)
    shutil.rmtree(folder / ".work", ignore_errors=True)
    return folder


def describe(facts: dict[str, Any]) -> str:
    """One line about a finished run."""
    return json.dumps({key: facts[key] for key in ("study", "scale", "seconds", "peak_memory_mib")})
