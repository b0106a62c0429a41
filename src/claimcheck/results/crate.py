"""`claimcheck crate`: results and report as a Workflow Run RO-Crate, so that archives and other tools can read them.

One action of the workflow as a whole (Workflow Run Crate 0.5) and one per study (Process Run Crate 0.5), from the
provenance that each run wrote; files are copied beside the metadata. Profiles: https://w3id.org/ro/wfrun.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import make_folder
from claimcheck.results.seals import check_results, read_provenance

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LICENSE = "https://spdx.org/licenses/MIT"


def export(scale: str, results_dir: Path, reports_dir: Path, project: Path, target: Path) -> Path:
    """Write the crate to the folder `target`, which must not exist yet.

    Args:
        project: the project's folder (Snakefile, studies).

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
    check_results(results_dir, scale)
    runs = {
        path.parent.name: read_provenance(path)
        for path in sorted((Path(results_dir) / scale).glob("*/provenance.json"))
        if (path.parent / "verdicts.json").is_file()
    }
    if not runs:
        raise ClaimcheckError("no judged results", where=Path(results_dir) / scale, hint="run the pipeline first")
    crate = ROCrate(version="1.1")
    _describe(crate, scale, runs)
    workflow = crate.add_workflow(
        project / "Snakefile", "Snakefile", main=True, lang="snakemake", properties={"name": "claimcheck"}
    )
    _software(crate, workflow, runs)
    results = []
    for study, facts in runs.items():
        results += _study(crate, scale, study, facts, Path(results_dir), project)
    for name in ("report.html", "report.pdf"):
        if (path := Path(reports_dir) / scale / name).is_file():
            results.append(_file(crate, path, f"reports/{scale}/{name}", f"The report, {path.suffix[1:].upper()}"))
    _whole_run(crate, workflow, runs, results)
    make_folder(target.parent)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        crate.write(building)
        building.chmod(0o755)
        building.rename(target)
    except OSError as error:
        raise ClaimcheckError(f"cannot write ({error.strerror or error})", where=target) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target / "ro-crate-metadata.json"


def _describe(crate: Any, scale: str, runs: dict[str, Any]) -> None:
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


def _software(crate: Any, workflow: Any, runs: dict[str, Any]) -> None:
    from rocrate.model.contextentity import ContextEntity

    versions = next(iter(runs.values()))["versions"]
    commits = sorted({str(facts["git"]["commit"]) for facts in runs.values()})
    workflow["version"] = ", ".join(commits)
    for name in ("python", "torch", "claimcheck"):
        entity = {"@type": "SoftwareApplication", "name": name, "softwareVersion": versions[name]}
        crate.add(ContextEntity(crate, f"#{name}", entity))
    workflow["softwareRequirements"] = [{"@id": f"#{name}"} for name in ("python", "torch")]


def _study(crate: Any, scale: str, study: str, facts: dict[str, Any], results_dir: Path, project: Path) -> list[Any]:
    """The files and the action of one study; gives its results."""
    sources = [
        _file(crate, project / "studies" / study / name, f"studies/{study}/{name}", f"{study}: {name}")
        for name in ("study.yaml", "study.py")
        if (project / "studies" / study / name).is_file()
    ]
    folder = results_dir / scale / study
    names = ["records.parquet", "tuning.parquet", "verdicts.json", "provenance.json"]
    paths = [folder / name for name in names if (folder / name).is_file()] + sorted(folder.glob("figures/*.svg"))
    made = [
        _file(crate, path, f"results/{scale}/{path.relative_to(folder.parent)}", f"{study}: {path.name}")
        for path in paths
    ]
    _action(
        crate, f"#run-{study}", f"Run of {study} at scale {scale}", {"@id": "#claimcheck"}, _times(facts), sources, made
    )
    return made


def _whole_run(crate: Any, workflow: Any, runs: dict[str, Any], results: list[Any]) -> None:
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


def _times(facts: dict[str, Any]) -> tuple[datetime, datetime]:
    start = datetime.fromisoformat(facts["start"])
    return start, start + timedelta(seconds=float(facts["seconds"]))
