"""`claimcheck new`: a study that runs at once, to be changed into the one that is wanted."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import jinja2

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.names import check_name
from claimcheck.spec.reading import load_lecture, load_study
from claimcheck.spec.schema import SCHEMA

FILES = ("study.yaml", "runs.py", "figures.py", "notes.md")


def create(name: str, studies_dir: Path) -> Path:
    """Make `studies/<name>/` with a small study in it that loads, runs and is judged.

    Raises:
        ClaimcheckError: the name is not one for a study, or it is taken. Nothing is written then.
    """
    check_name(name, "NAME")
    folder = Path(studies_dir) / name
    if folder.exists():
        raise ClaimcheckError("there is a study of this name", where=folder, hint="choose another name")
    words = {
        "name": name,
        "claim": name.replace("_", "-"),
        "title": name.replace("_", " ").capitalize(),
        "section": load_lecture(studies_dir).sections[0].id,
        "schema": _schema_beside(Path(studies_dir), folder),
    }
    _write(folder, words)
    load_study(studies_dir, name)
    return folder


def _schema_beside(studies_dir: Path, folder: Path) -> str | None:
    """Path of the JSON schema as the study's folder sees it, None where the project has none."""
    path = studies_dir.resolve().parent / "docs" / SCHEMA
    return Path(os.path.relpath(path, folder.resolve())).as_posix() if path.is_file() else None


def _write(folder: Path, words: dict[str, str | None]) -> None:
    """Render the scaffold into `folder`, which appears with all its files or not at all."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False, trim_blocks=True
    )
    templates = resources.files("claimcheck.spec") / "scaffold"
    made = None
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for file in FILES:
            text = (templates / f"{file}.j2").read_text(encoding="utf-8")
            (made / file).write_text(environment.from_string(text).render(words), encoding="utf-8")
        made.chmod(0o755)
        made.rename(folder)
    except OSError as error:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        raise ClaimcheckError(f"cannot write ({error.strerror or error})", where=folder) from error
