"""From a Markdown source to HTML and PDF: pandoc with the project's filters, then typst. No network, no clock.

The same source gives the same bytes: the PDF's date is that of the results. Warnings of pandoc and typst are errors.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from importlib import resources
from pathlib import Path

from claimcheck.errors import ClaimcheckError
from claimcheck.report import letters

READER = "markdown-raw_html-raw_tex-raw_attribute-citations-example_lists-auto_identifiers-tex_math_double_backslash"
_ASSETS = resources.files("claimcheck.report")
_CULPRIT = re.compile(r"Could not convert TeX math (.*?), rendering as TeX|must not hold pictures \(.*?\): (\S+)")
_IMAGE = re.compile(r'(<img\b[^>]*?\bsrc=")(figures/[^"]+\.svg)(")')


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
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def to_pdf(folder: Path, stem: str, timestamp: int, kind: str = "report") -> tuple[bytes, set[str]]:
    """`folder`/`stem`.md as a PDF that meets PDF/UA-1 (tagged, with alternative texts).

    Args:
        kind: of template: report or slides.
        timestamp: seconds since 1970 that the file carries as its date.

    Returns:
        The PDF, and the letters that it shows by their names, since no font has them.
    """
    import typst

    source = _pandoc(folder, stem, "typst", "--to=typst", "--shift-heading-level-by=-1", kind=kind)
    written = folder / f"{stem}.typ"
    written.write_text(source, encoding="utf-8")
    fonts: list[Path] = []
    named: set[str] = set()
    while True:
        try:
            return _set(written, timestamp, fonts), named
        except typst.TypstError as error:
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
    import typst

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


def _pandoc(folder: Path, stem: str, target: str, *options: str, kind: str = "report") -> str:
    """Run pandoc in `folder` on `stem`.md; its standard output.

    Raises:
        ClaimcheckError: pandoc fails or warns (a formula that cannot be read, say); the message names it.
    """
    import pypandoc

    with resources.as_file(_ASSETS) as assets:
        template = folder / f"{stem}.template.{target}"
        template.write_text(_template(assets, kind, target), encoding="utf-8")
        command = [
            pypandoc.get_pandoc_path(),
            f"--from={READER}",
            "--standalone",
            "--fail-if-warnings",
            "--syntax-highlighting=none",
            "--wrap=preserve",
            f"--template={template.name}",
            f"--lua-filter={assets / 'filters' / 'study_text.lua'}",
            f"--lua-filter={assets / 'filters' / 'elsewhere.lua'}",
            f"--lua-filter={assets / 'filters' / f'{target}.lua'}",
            *options,
            f"{stem}.md",
        ]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        fault = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        culprit = _CULPRIT.search(fault)
        raise ClaimcheckError(
            f"pandoc cannot read the report's text ({fault})",
            where="report",
            found=culprit and (culprit[1] or culprit[2]),
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
    for key, file in (("$style$", "report.css"), ("$script$", "report.js")):
        if key in text:
            written = (assets / "templates" / file).read_text(encoding="utf-8")
            text = text.replace(key, written.replace("$", "$$").strip())
    return text
