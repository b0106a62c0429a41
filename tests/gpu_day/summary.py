"""The day in words and numbers: summary.md for people, summary.json for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from claimcheck.files import write_json, write_text
from claimcheck.results.provenance import git_state, machine, versions

from .day import size_of


def write_summary(folder: Path, days: list[dict[str, Any]], device: str, seconds: float) -> str:
    """Write both files into the folder; gives the text.

    Args:
        days: what each stage found: stage, says, state, seconds, tables, lines, faults.
    """
    facts = {
        "what": "a rehearsal on the CPU" if device == "cpu" else "a day on a card",
        "machine": machine(torch.device(device)),
        "versions": {**versions(), "cuda": torch.version.cuda},
        "commit": git_state().model_dump(),
        "seconds": round(seconds, 1),
        "stages": days,
    }
    write_json(folder / "summary.json", facts)
    text = markdown(facts)
    write_text(folder / "summary.md", text)
    return f"{text}\n{folder}: {size_of(folder) / 1e6:.2f} MB"


def markdown(facts: dict[str, Any]) -> str:
    """The summary as a page."""
    on = facts["machine"]
    card = f"{on['accelerator']} ({on['accelerator_memory_gib']} GiB)" if "accelerator" in on else "no card"
    commit = facts["commit"]["commit"] or "unknown"
    state = {True: ", changed", False: "", None: ""}[facts["commit"]["dirty"]]
    lines = [
        f"# GPU day: {facts['what']}",
        "",
        f"{card}; {on['processor']}, {on['cores']} cores, {on['memory_gib']} GiB. "
        + ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        + f". Commit {commit}{state}. {facts['seconds']:.0f} s in all.",
        "",
        *table([{key: day[key] for key in ("stage", "state", "seconds")} for day in facts["stages"]]),
    ]
    for day in facts["stages"]:
        lines += ["", f"## {day['says']}", "", f"{day['state']}."]
        lines += [f"- FAULT: {each}" for each in day["faults"]]
        lines += [f"- {each}" for each in day["lines"]]
        for title, rows in day["tables"].items():
            lines += ["", f"### {title}", "", *table(rows)]
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as lines of a Markdown table; a cell that a row lacks is a dash."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    body = [[shown(row.get(name)) for name in columns] for row in rows]
    return ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *body)]


def shown(value: Any) -> str:
    """A cell."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
