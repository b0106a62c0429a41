"""What became of the last attempt at a study's steps, read from the logs that the pipeline leaves beside its results.

A step that ends leaves what it makes; one that does not (an error, a kill, a machine that went away) leaves its log.
"""

from __future__ import annotations

from pathlib import Path

STEPS = {"run": "records.parquet", "judge": "verdicts.json", "plot": "figures"}
"""A step and what it makes, in their order; its log is <step>.log in the same folder."""


def last_failure(folder: Path) -> str:
    """One sentence on the first step in a study's results folder whose last attempt did not end; empty if all did."""
    for step, made in STEPS.items():
        log = Path(folder) / f"{step}.log"
        if not log.is_file():
            continue
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        failed = last.startswith("claimcheck: ") or any(line.startswith("Traceback (most recent") for line in lines)
        if failed or not (Path(folder) / made).exists():
            said = f", which ends: {last.removeprefix('claimcheck: ')[:400]}" if last else ""
            return f"The last attempt to {step} it did not end well; see {log}{said}"
    return ""
