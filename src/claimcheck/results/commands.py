"""The command that makes a result again, with every option that it takes to make that result and no other."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from claimcheck.spec.config import Config, PilotConfig
from claimcheck.spec.reading import study_names

CHOICE = ("scale", "seeds", "registration_offset", "device", "results_dir", "studies_dir")
"""Fields of the configuration that decide which results are meant, and where they lie."""


def command(step: str, study: str, config: Config, part: str | None = None) -> str:
    """The command of a step, as it is typed; of pilots for power it is `claimcheck power`, which runs all parts."""
    reads = ("data_dir",) if step == "run" or isinstance(config, PilotConfig) else ()
    chosen = {name: getattr(config, name) for name in (*CHOICE, *reads)}
    if isinstance(config, PilotConfig):
        units = f" --units {chosen.pop('seeds')}" if config.seeds else ""
        times = "".join(f" --times {name}={factor:g}" for name, factor in config.times.items())
        return f"claimcheck power {study} {options(chosen)}{units}{times}"
    return f"claimcheck {step} {study}{f'/{part}' if part else ''} {options(chosen)}"


def study_commands(study: str, config: Config) -> str:
    """The commands that make all of a study, one after the other."""
    return " && ".join(command(step, study, config) for step in ("run", "judge", "plot"))


def register_command(study: str, studies_dir: Path) -> str:
    """The command that registers a study anew, but for what it is to say."""
    where = options({"studies_dir": studies_dir})
    return " ".join(filter(None, ["claimcheck register", study, where, "--says ... --superseded ..."]))


def report_command(config: Config, studies: Iterable[str]) -> str:
    """The command that makes a report of some studies, or of all."""
    chosen, every = list(studies), study_names(config.studies_dir)
    named = "" if set(chosen) >= set(every) else "".join(f" --study {name}" for name in chosen)
    return f"claimcheck report {options({name: getattr(config, name) for name in (*CHOICE, 'reports_dir')})}{named}"


def pipeline_command(config: Config) -> str:
    """The command that makes everything that a configuration asks for."""
    usual = {name: field.default for name, field in Config.model_fields.items()}
    named = {name: getattr(config, name) for name in (*CHOICE, "reports_dir")}
    spelled = [f"{name}={value}" for name, value in named.items() if value != usual[name]]
    return shlex.join(["snakemake", "--cores", "all", *(["--config", *spelled] if spelled else [])])


def options(chosen: Mapping[str, Any]) -> str:
    """Options as they are typed: the scale always, of the others those that are not what they are when left out.

    Args:
        chosen: values by the name of the field of the configuration.
    """
    usual = {name: field.default for name, field in Config.model_fields.items()}
    spelled = {name: value for name, value in chosen.items() if name == "scale" or value != usual[name]}
    return " ".join(f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in spelled.items())
