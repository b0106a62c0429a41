"""`claimcheck crate`: results and report as a Workflow Run RO-Crate, so that archives and other tools can read them.

One action of the workflow as a whole (Workflow Run Crate 0.5) and one per study (Process Run Crate 0.5), from the
provenance that each run wrote; files are copied beside the metadata. Profiles: https://w3id.org/ro/wfrun.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import make_folder
from claimcheck.results import digests, view
from claimcheck.results.commands import pipeline_command, report_command, study_commands
from claimcheck.results.provenance import Provenance
from claimcheck.results.state import REPORT, Collection, Results
from claimcheck.spec.config import Config

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
SNAKEFILE = Path(__file__).parents[3] / "Snakefile"
"""Of the checkout that this package is in, wherever the studies lie."""

LICENSE = "https://spdx.org/licenses/MIT"


def export(config: Config, results: Mapping[str, Results], target: Path) -> Path:
    """Write the crate to the folder `target`, which must not exist yet.

    Args:
        results: every study's results at the scale; those that are judged and published are packed.

    Raises:
        ClaimcheckError: rocrate is not installed, nothing was run at this scale, a result is not what the pipeline
            wrote, or `target` is taken.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise ClaimcheckError("the package rocrate is not installed", hint="pip install rocrate") from error
    if target.exists():
        raise ClaimcheckError("is there already", where=target, hint="name another folder, or delete this one")
    packed = _published(results)
    if not packed:
        raise ClaimcheckError(
            "no judged and published results",
            where=config.results,
            found=f"of {', '.join(results)} none" if results else f"no study that has the scale {config.scale}",
            hint=f"run the pipeline first: {pipeline_command(config)}",
        )
    for each in packed.values():
        view.check(each)
    runs = {name: each.read_provenance() for name, each in packed.items()}
    crate = ROCrate(version="1.1")
    _describe(crate, config.scale, runs)
    project = config.studies_dir.resolve().parent
    snakefile = next((path for path in (SNAKEFILE, project / "Snakefile") if path.is_file()), None)
    if snakefile is None:
        raise ClaimcheckError("no such file", where=project / "Snakefile", hint="pack from a clone of the project")
    workflow = crate.add_workflow(
        snakefile, "Snakefile", main=True, lang="snakemake", properties={"name": "claimcheck"}
    )
    _software(crate, workflow, runs)
    made = []
    for name, each in packed.items():
        made += _study(crate, each, runs[name])
    for path in view.report_of_pipeline(Collection(config, results)):
        made.append(_file(crate, path, f"reports/{config.scale}/{path.name}", f"The report, {path.suffix[1:].upper()}"))
    _whole_run(crate, workflow, runs, made)
    make_folder(target.parent)
    building = None
    try:
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        crate.write(building)
        building.chmod(0o755)
        building.rename(target)
    except OSError as error:
        raise ClaimcheckError(f"cannot write ({error.strerror or error})", where=target) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
    return target / "ro-crate-metadata.json"


def left_out(config: Config, results: Mapping[str, Results]) -> list[str]:
    """What `export` does not find, in a sentence each, with the command that makes it."""
    missing = [name for name in results if name not in _published(results)]
    lines = [f"{name}: no judged and published results, left out ({study_commands(name, config)})" for name in missing]
    collection = Collection(config, results)
    packed, vouched = view.report_of_pipeline(collection), view.shown_in_report(collection) is not None
    for path in (config.reports / name for name in REPORT):
        if path not in packed:
            shown = "not as the pipeline published it" if vouched else "not known to show the present results"
            fault = shown if path.is_file() else "not there"
            lines.append(f"{path}: {fault}, left out (make it again: {report_command(config, results)})")
    return lines


def _published(results: Mapping[str, Results]) -> dict[str, Results]:
    return {name: each for name, each in results.items() if each.receipt.is_file()}


def _describe(crate: Any, scale: str, runs: dict[str, Provenance]) -> None:
    from rocrate.model.contextentity import ContextEntity

    for url, (name, version) in PROFILES.items():
        crate.add(ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": version}))
    crate.add(ContextEntity(crate, LICENSE, {"@type": "CreativeWork", "name": "MIT License"}))
    root = crate.root_dataset
    root["conformsTo"] = [{"@id": url} for url in PROFILES]
    root["name"] = f"claimcheck: a lecture's claims put to the test, scale {scale}"
    root["description"] = f"Records, verdicts and figures of {len(runs)} studies, with the provenance of each run."
    root["license"] = {"@id": LICENSE}
    crate.datePublished = max(_times(facts)[1] for facts in runs.values())


def _software(crate: Any, workflow: Any, runs: dict[str, Provenance]) -> None:
    from rocrate.model.contextentity import ContextEntity

    parts = [part for facts in runs.values() for part in facts.parts.values()]
    workflow["version"] = ", ".join(sorted({str(part.git.commit) for part in parts}))
    for name in ("python", "torch", "claimcheck"):
        versions = ", ".join(sorted({part.versions.get(name, "absent") for part in parts}))
        entity = {"@type": "SoftwareApplication", "name": name, "softwareVersion": versions}
        crate.add(ContextEntity(crate, f"#{name}", entity))
    workflow["softwareRequirements"] = [{"@id": f"#{name}"} for name in ("python", "torch")]


def _study(crate: Any, results: Results, facts: Provenance) -> list[Any]:
    """The files and the action of one study; gives its results."""
    study, scale, folder = results.study, results.config.scale, results.view
    inside = {path: path.relative_to(study.folder).as_posix() for path in digests.files_of(study.folder)}
    sources = [
        _file(crate, path, f"studies/{study.name}/{place}", f"{study.name}: {place}") for path, place in inside.items()
    ]
    names = ["records.parquet", "tuning.parquet", "verdicts.json", "provenance.json"]
    paths = [folder / name for name in names if (folder / name).is_file()] + sorted(folder.glob("figures/*.svg"))
    made = [
        _file(crate, path, f"results/{scale}/{path.relative_to(folder.parent)}", f"{study.name}: {path.name}")
        for path in paths
    ]
    title = f"Run of {study.name} at scale {scale}"
    _action(crate, f"#run-{study.name}", title, {"@id": "#claimcheck"}, _times(facts), sources, made)
    return made


def _whole_run(crate: Any, workflow: Any, runs: dict[str, Provenance], results: list[Any]) -> None:
    times = [_times(facts) for facts in runs.values()]
    span = (min(start for start, _ in times), max(end for _, end in times))
    _action(crate, "#run", "Run of the whole pipeline", workflow, span, [], results)


def _action(
    crate: Any, identifier: str, name: str, tool: Any, span: tuple[datetime, datetime], used: list[Any], made: list[Any]
) -> None:
    from rocrate.model.contextentity import ContextEntity

    action = crate.add(
        ContextEntity(
            crate,
            identifier,
            {
                "@type": "CreateAction",
                "name": name,
                "startTime": span[0].isoformat(),
                "endTime": span[1].isoformat(),
                "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
            },
        )
    )
    action["instrument"] = tool
    action["result"] = made
    if used:
        action["object"] = used
    crate.root_dataset.append_to("mentions", action)


def _file(crate: Any, path: Path, inside: str, name: str) -> Any:
    formats = {".json": "application/json", ".svg": "image/svg+xml", ".html": "text/html", ".pdf": "application/pdf"}
    kind = formats.get(path.suffix, "text/plain" if path.suffix in (".py", ".yaml") else "application/octet-stream")
    return crate.add_file(path, inside, properties={"name": name, "encodingFormat": kind})


def _times(facts: Provenance) -> tuple[datetime, datetime]:
    """When a study's first part was begun, and when the last one to end had ended."""
    spans = [(datetime.fromisoformat(part.start), timedelta(seconds=part.seconds)) for part in facts.parts.values()]
    return min(start for start, _ in spans), max(start + took for start, took in spans)
