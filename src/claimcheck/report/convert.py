"""From a Markdown source to HTML, PDF and PowerPoint's format: pandoc with the project's filters, then typst. No network, no clock.

The same source gives the same bytes: the PDF's date is that of the results. Warnings of pandoc and typst are errors.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import zipfile
from datetime import UTC, datetime
from importlib import import_module, resources
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from claimcheck.errors import ClaimcheckError
from claimcheck.report import letters
from claimcheck.spec.references import BIBLIOGRAPHY

READER = "markdown-raw_html-raw_tex-raw_attribute-example_lists-auto_identifiers-tex_math_double_backslash"
CITING = ("--citeproc", f"--bibliography={BIBLIOGRAPHY}")
_ASSETS = resources.files("claimcheck.report")
_CULPRIT = re.compile(
    r"Could not convert TeX math (.*?), rendering as TeX|must not hold pictures \(.*?\): (\S+)"
    r"|Citeproc: citation (\S+) not found"
)
_IMAGE = re.compile(r'(<img\b[^>]*?\bsrc=")(figures/[^"]+\.svg)(")')


def _library(name: str) -> ModuleType:
    """A library that only reports need; the rest of the package does without."""
    try:
        return import_module(name)
    except ImportError as error:
        hint = "pip install 'claimcheck[report]'"
        raise ClaimcheckError(f"the package {name} is not installed", where="report", hint=hint) from error


def bibliography(path: Path) -> list[dict[str, Any]]:
    """The entries of a BibTeX file as CSL's data: id, title, author, issued, URL, DOI …

    Raises:
        ClaimcheckError: pandoc cannot read it.
    """
    command = [_library("pypandoc").get_pandoc_path(), "--from=biblatex", "--to=csljson", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ClaimcheckError(f"is not BibTeX ({' '.join(done.stderr.split())})", where=path)
    return json.loads(done.stdout)


def to_html(folder: Path, stem: str) -> str:
    """`folder`/`stem`.md with its pictures as one HTML page that loads nothing."""
    page = _pandoc(
        folder,
        stem,
        "html",
        "--to=html5",
        "--mathml",
        "--toc",
        "--toc-depth=2",
        "--section-divs",
        "--email-obfuscation=none",
    )
    page = _IMAGE.sub(lambda found: f"{found[1]}{_data_uri(folder / found[2])}{found[3]}", page)
    return re.sub(r"(<img\b[^>]*\bsrc=\"data:[^>]*>)", r'<div class="scroll">\1</div>', page)


def _data_uri(path: Path) -> str:
    """A picture as an address that holds it: as text, which is a quarter shorter than base64."""
    svg = path.read_text(encoding="utf-8").strip()
    if "'" not in svg:
        svg = svg.replace('"', "'")
    return "data:image/svg+xml," + quote(svg, safe=_IN_ADDRESS)


_IN_ADDRESS = " !$'()*+,-./:;=?@[]_|~"
"""Beside letters and digits, what a data address may hold within double quotes."""


def to_pdf(folder: Path, stem: str, timestamp: int, kind: str = "report") -> tuple[bytes, set[str]]:
    """`folder`/`stem`.md as a PDF that meets PDF/UA-1 (tagged, with alternative texts).

    Args:
        kind: of template: report or slides.
        timestamp: seconds since 1970 that the file carries as its date.

    Returns:
        The PDF, and the letters that it shows by their names, since no font has them.
    """
    source = _pandoc(folder, stem, "typst", "--to=typst-citations-smart", "--shift-heading-level-by=-1", kind=kind)
    written = folder / f"{stem}.typ"
    written.write_text(source, encoding="utf-8")
    fonts: list[Path] = []
    named: set[str] = set()
    while True:
        try:
            return _set(written, timestamp, fonts), named
        except _library("typst").TypstError as error:
            lacking = letters.lacking(error.diagnostic) - named
            if not lacking:
                fault = f"typst cannot set the PDF ({error})"
                raise ClaimcheckError(
                    fault, where="report", found=_formula_at(error.diagnostic, stem, source)
                ) from error
        if fonts:
            named |= lacking
            written = letters.write_names(folder / f"{stem}.typ", folder / f"named-{stem}", named)
        else:
            fonts = [letters.add_font(folder / f"fonts-{stem}")]


def _set(source: Path, timestamp: int, fonts: list[Path]) -> bytes:
    typst = _library("typst")
    pdf, warnings = typst.compile_with_warnings(
        source,
        root=source.parent,
        font_paths=fonts,
        ignore_system_fonts=True,
        timestamp=timestamp,
        pdf_standards=["ua-1"],
    )
    if warnings:
        raise ClaimcheckError(f"typst warns: {'; '.join(str(warning.message) for warning in warnings)}", where="report")
    return pdf


def _formula_at(diagnostic: str, stem: str, source: str) -> str | None:
    """The formula (as the study writes it) in which typst found a fault, if it was in one."""
    found = re.search(rf"{stem}\.typ:(\d+):(\d+)", diagnostic)
    if found is None:
        return None
    before = source.split("\n")[int(found[1]) - 1][: int(found[2])]
    formulas = re.findall(r'#math\.equation\(block: \w+, alt: "((?:[^"\\]|\\.)*)"', before)
    return re.sub(r"\\(.)", r"\1", formulas[-1]) if formulas else None


def to_pptx(folder: Path, stem: str, timestamp: int) -> bytes:
    """`folder`/`stem`.md as slides to be edited, a second-level heading each.

    Args:
        timestamp: seconds since 1970 that the file and all in it carry as their date.
    """
    _write_reference(folder / "reference.pptx")
    made = folder / f"{stem}.pptx"
    options = ("--to=pptx", "--slide-level=2", "--reference-doc=reference.pptx", f"--output={made.name}")
    _pandoc(folder, stem, "pptx", *options, timestamp=timestamp)
    return _dated(made.read_bytes(), timestamp)


_PATH_IN_ALT = re.compile(r'(<p:cNvPr descr="[^"]*?)\s*figures/[^"]*"')


def _dated(pptx: bytes, timestamp: int) -> bytes:
    """Slides whose files are all of one date, and whose pictures' alternative texts do not end in a file's name."""
    date, written = datetime.fromtimestamp(timestamp, UTC).timetuple()[:6], io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pptx)) as read, zipfile.ZipFile(written, "w") as archive:
        for name in read.namelist():
            content = read.read(name)
            if name.startswith("ppt/slides/") and name.endswith(".xml"):
                content = _fitted(_PATH_IN_ALT.sub(r'\1"', content.decode("utf-8"))).encode("utf-8")
            archive.writestr(zipfile.ZipInfo(name, date), content, zipfile.ZIP_DEFLATED)
    return written.getvalue()


_ROOM = {"title": 180, "body": 480}
"""Letters that a slide's title and the words above its picture have room for in their own type."""

_SHAPE = re.compile(r'<p:sp>.*?<p:ph [^>]*?type="(title|body)".*?</p:sp>', re.DOTALL)


def _fitted(slide: str) -> str:
    """A slide with a picture whose longer words are set in smaller type, so that they stay in their boxes."""
    return _SHAPE.sub(_shrunk, slide) if "<p:pic>" in slide else slide


def _shrunk(shape: re.Match[str]) -> str:
    letters = sum(map(len, re.findall(r"<a:t>([^<]*)</a:t>", shape[0])))
    if letters <= _ROOM[shape[1]]:
        return shape[0]
    scale = int(100 * math.sqrt(_ROOM[shape[1]] / letters)) * 1000
    return re.sub(r"<a:bodyPr ?/>", f'<a:bodyPr><a:normAutofit fontScale="{scale}"/></a:bodyPr>', shape[0], count=1)


_LAYOUT = "ppt/slideLayouts/slideLayout8.xml"
"""pandoc's layout of a slide with words and a picture, "Content with Caption"."""

_PLACES = ((457200, 130000, 8229600, 940000), (457200, 2170000, 8229600, 2850000), (457200, 1070000, 8229600, 1080000))
"""Where its title, picture and words stand, each over the whole width: left, top, width and height in 1/914400 inch."""

_SIZES = {'sz="1500" b="1"': 'sz="2000" b="1"', '<a:defRPr sz="1050"/>': '<a:defRPr sz="1200"/>'}
"""The type of its title and its words, in hundredths of a point."""


_WORDS_ALONE = "ppt/slideLayouts/slideLayout2.xml"
"""pandoc's layout of a slide with words alone, "Title and Content"."""

_STYLES = (
    '<a:lvl1pPr algn="l"><a:defRPr sz="2000" b="1"/></a:lvl1pPr>',
    '<a:lvl1pPr><a:defRPr sz="1800"/></a:lvl1pPr>',
)
"""How its title and its words are set: the title as on the slides with pictures."""


def _write_reference(path: Path) -> None:
    """pandoc's own slides, with the picture below the words instead of beside them, and titles alike."""
    command = [_library("pypandoc").get_pandoc_path(), "--print-default-data-file=reference.pptx"]
    plain = io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)
    with zipfile.ZipFile(plain) as read, zipfile.ZipFile(path, "w") as written:
        for name in read.namelist():
            content = read.read(name)
            if name == _LAYOUT:
                text = content.decode("utf-8")
                for old, new in _SIZES.items():
                    text = text.replace(old, new)
                for left, top, width, height in _PLACES:
                    place = f'<a:off X="{left}" y="{top}"/><a:ext cx="{width}" cy="{height}"/></a:xfrm></p:spPr>'
                    text = _PLACE.sub(place, text, count=1)
                content = text.replace("<a:off X=", "<a:off x=").encode("utf-8")
            elif name == _WORDS_ALONE:
                text = content.decode("utf-8")
                for style in _STYLES:
                    text = text.replace("<a:lstStyle/>", f"<a:lstStyle>{style}</a:lstStyle>", 1)
                content = text.encode("utf-8")
            written.writestr(name, content)


_PLACE = re.compile(r'<a:off x="\d+" y="\d+"/><a:ext cx="\d+" cy="\d+"/></a:xfrm></p:spPr>')


def _pandoc(
    folder: Path, stem: str, target: str, *options: str, kind: str = "report", timestamp: int | None = None
) -> str:
    """Run pandoc in `folder` on `stem`.md; its standard output.

    Raises:
        ClaimcheckError: pandoc fails or warns (a formula that cannot be read, say); the message names it.
    """
    pypandoc = _library("pypandoc")
    with resources.as_file(_ASSETS) as assets:
        if target != "pptx":
            template = folder / f"{stem}.template.{target}"
            template.write_text(_template(assets, kind, target), encoding="utf-8")
            options = (*options, f"--template={template.name}")
        first, *filters = (
            f"--lua-filter={assets / 'filters' / name}.lua" for name in ("study_text", "elsewhere", target)
        )
        command = [
            pypandoc.get_pandoc_path(),
            f"--from={READER}",
            "--standalone",
            "--fail-if-warnings",
            "--syntax-highlighting=none",
            "--wrap=preserve",
            first,
            *(CITING if (folder / BIBLIOGRAPHY).is_file() else ()),
            *filters,
            *options,
            f"{stem}.md",
        ]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(timestamp or 0)}
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        fault = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        culprit = _CULPRIT.search(fault)
        raise ClaimcheckError(
            f"pandoc cannot read the report's text ({fault})",
            where="report",
            found=culprit and next(filter(None, culprit.groups())),
            hint=_hint(fault),
        )
    return done.stdout


def _hint(fault: str) -> str | None:
    if "TeX math" in fault or "texmath" in fault.lower():
        return "mend the formula in study.yaml, or write \\$ where a dollar is meant"
    return None


def _template(assets: Path, kind: str, target: str) -> str:
    """pandoc's template, with style sheet and script put in (their dollars doubled: pandoc reads $ as its own)."""
    ending = "html" if target == "html" else "typ"
    text = (assets / "templates" / f"{kind}.{ending}").read_text(encoding="utf-8")
    for key, file in (("$style$", "report.css"), ("$script$", "report.js"), ("$predict$", "predict.js")):
        if key in text:
            written = (assets / "templates" / file).read_text(encoding="utf-8")
            text = text.replace(key, written.replace("$", "$$").strip())
    return text
