"""`claimcheck new`: a study that runs at once, to be changed into the one that is wanted."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import jinja2

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.reading import load_lecture, load_study


def create(name: str, studies_dir: Path) -> Path:
    """Make `studies/<name>/` with a small study in it that loads, runs and is judged.

    Raises:
        ClaimcheckError: the name is not one for a folder and module, or it is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ClaimcheckError(
            "is not a study's name", where="NAME", found=name, expected="lower-case letters, digits, underscores"
        )
    folder = Path(studies_dir) / name
    if folder.exists():
        raise ClaimcheckError("there is a study of this name", where=folder, hint="choose another name")
    section = load_lecture(studies_dir).sections[0].id
    words = {"name": name, "title": name.replace("_", " ").capitalize(), "section": section}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = resources.files("claimcheck") / "scaffold"
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=studies_dir))
        for file in ("study.yaml", "study.py"):
            template = environment.from_string((templates / f"{file}.j2").read_text(encoding="utf-8"))
            (made / file).write_text(template.render(words), encoding="utf-8")
        made.chmod(0o755)
        made.rename(folder)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        raise ClaimcheckError(f"cannot write ({error.strerror or error})", where=folder) from error
    load_study(studies_dir, name)
    return folder
