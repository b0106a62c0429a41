"""Slides for a lecture: the counts, then a claim each, in the lecture's order, as slides.pptx (to be edited) and slides.pdf.

Both are made from one Markdown source. Figures are those that were drawn for projection. Nothing is judged here, and no
number is typed.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import write_atomically
from claimcheck.report import build, convert, phrases, pictures, summary, text
from claimcheck.report.gather import ClaimView, ReportView, StudyView, gather
from claimcheck.results import view
from claimcheck.results.state import SLIDES, Collection, Results
from claimcheck.spec.config import Config
from claimcheck.spec.models import FigureSpec, Lecture, Section

LINES = re.compile(r"\b(?:dashed|dotted|shaded|gr[ae]y|green)\b", re.IGNORECASE)
"""How captions name what no legend need name: lines of theory or of guessing, regions."""


@dataclass(frozen=True)
class Slide:
    """A claim with its section and, where there is one, the figure that illustrates it."""

    claim: ClaimView
    section: Section
    study: StudyView | None = None
    figure: FigureSpec | None = None

    @property
    def runs(self) -> int | None:
        """In how many runs the deciding prediction was asked, on the data set with most."""
        deciding = self.claim.deciding
        counts = [each.n for each in deciding.outcomes if each.n is not None] if deciding else []
        return max(counts, default=None)

    @property
    def asked(self) -> str:
        """What was measured, as the deciding prediction says it; empty where nothing was."""
        deciding = self.claim.deciding
        return text.inline(deciding.spec.says) if deciding is not None and deciding.measured else ""

    @property
    def found(self) -> str:
        """What was found, in one line; why there is nothing, where nothing was measured."""
        said = phrases.found(self.claim)
        if said:
            return f"{said}{phrases.against(self.claim)}"
        reason = self.claim.lecture.not_testable if self.claim.lecture else None
        if reason:
            return text.inline(reason)
        if self.claim.state == "planned":
            return "No study has tested it yet."
        note = phrases.note_of(self.claim)
        return f"It was not run here: {note}." if note else "There is no result of it as it stands."

    @property
    def drawn(self) -> str:
        """What the figure draws, where that is not, or not only, the runs that decided, or where it has lines or shades
        that want a word: its caption's first sentence, and those that say what these are.
        """
        deciding = self.claim.deciding
        if self.figure is None or deciding is None:
            return ""
        first, *others = re.split(r"(?<=\.) (?=[A-Z])", " ".join(self.figure.caption.split()))
        told = list(filter(LINES.search, others))
        if self.figure.part == deciding.spec.part and not told and not LINES.search(first):
            return ""
        return text.inline(f"{' '.join([first, *told]).rstrip('.')}.")


def build_slides(
    config: Config,
    results: Mapping[str, Results],
    only: Sequence[str] | None = None,
    *,
    claims: Sequence[str] = (),
    sections: Sequence[str] = (),
    publish: bool = True,
    into: Path | None = None,
) -> list[Path]:
    """Write the slides, to the store and beside the report; of some claims alone only beside the report, under their names.

    Args:
        results: every study's, at the scale.
        only: studies whose results are shown; all that have any, when left out.
        claims, sections: ids of what gets a slide; every claim but those of studies that are not shown or not written yet,
            when left out.
        publish: put them where people read; else the store alone has them.
        into: the folder of all results that people read, if not the configured one: the report beside them links to it.

    Returns:
        The files written: a pptx and a pdf.

    Raises:
        ClaimcheckError: no such claim or section, a result cannot be read, or a text cannot be set.
    """
    shown = build.named_in(results, only)
    seen = gather(config, shown)
    chosen = choose(seen, claims, sections)
    pptx, pdf = _make(seen, chosen, config.studies_dir, counted=not (claims or sections))
    if claims or sections:
        stem = config.reports / f"slides-{'-'.join([*sections, *claims])[:80]}"
        targets = [stem.with_name(f"{stem.name}{Path(name).suffix}") for name in SLIDES]
    else:
        collection = Collection(config, shown, into=into).as_it_is()
        targets = [collection.report / name for name in SLIDES]
    for target, content in zip(targets, (pptx, pdf), strict=True):
        if (claims or sections) and target.suffix == ".pptx":
            view.keep_earlier(target, content)
        with write_atomically(target) as temporary:
            temporary.write_bytes(content)
    return targets if claims or sections or not publish else view.publish_slides(collection)


def choose(seen: ReportView, claims: Sequence[str], sections: Sequence[str]) -> list[Slide]:
    """The slides, in the lecture's order.

    Raises:
        ClaimcheckError: no such claim or section.
    """
    _known("--claims", claims, list(seen.claims))
    _known("--sections", sections, _sections_of(seen.lecture))
    slides = []
    for section in seen.lecture.sections:
        for entry in section.claims:
            claim = seen.claims[entry.id]
            asked = entry.id in claims or section.id in sections
            left_out = claim.state == "planned" or (claim.state == "not run" and claim.study is None)
            if asked or not (claims or sections or left_out):
                slides.append(_slide(seen, section, claim))
    return slides


def _sections_of(lecture: Lecture) -> list[str]:
    return [section.id for section in lecture.sections if section.claims]


def _known(option: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise ClaimcheckError(
                "the lecture has none of this id",
                where=option,
                found=name,
                hint=closest(name, known) or "see lecture.yaml",
            )


def _slide(seen: ReportView, section: Section, claim: ClaimView) -> Slide:
    study = next(
        (each for each in seen.studies if claim.study is not None and each.spec.name == claim.study.name), None
    )
    if study is None or not study.current:
        return Slide(claim, section, study)
    return Slide(claim, section, study, _figure(study, claim))


def _figure(study: StudyView, claim: ClaimView) -> FigureSpec | None:
    """The claim's first figure, of those that draw what decided it if there are any; none where nothing did."""
    deciding = claim.deciding
    if deciding is None or not deciding.measured:
        return None
    drawn = [figure for figure, path in study.figures if path is not None and claim.id in figure.claims]
    own = [figure for figure in drawn if figure.part is not None and figure.part == deciding.spec.part]
    return next(iter(own or drawn), None)


def _make(seen: ReportView, slides: Sequence[Slide], studies_dir: Path, counted: bool) -> tuple[bytes, bytes]:
    """Both documents, set in a folder of their own.

    Args:
        counted: open with a slide that counts the claims by verdict.
    """
    with tempfile.TemporaryDirectory(prefix="claimcheck-slides-") as name:
        folder, time = Path(name), build.timestamp(seen)
        (folder / "pictures").mkdir()
        build.copy_bibliography(studies_dir, folder)
        for state in pictures.STATES:
            (folder / f"pictures/verdict-{pictures.slug(state)}.svg").write_text(
                pictures.shape(state), encoding="utf-8"
            )
        for slide in slides:
            if slide.study is not None and slide.figure is not None:
                _copy(slide.study, slide.figure, folder)
        names = {
            "view": seen,
            "slides": slides,
            "counted": counted,
            "counts": seen.counts(),
            "groups": summary.groups(seen),
            "registration_words": summary.registration_words,
            "rehearsal": seen.scale == "smoke",
        }
        (folder / "slides.md").write_text(build.markdown("slides.md.j2", names), encoding="utf-8")
        with ThreadPoolExecutor(max_workers=2) as both:
            pptx = both.submit(convert.to_pptx, folder, "slides", time)
            pdf = both.submit(convert.to_pdf, folder, "slides", time, "slides")
    for document in (pptx, pdf):
        if isinstance(fault := document.exception(), ClaimcheckError):
            raise build.placed(fault, seen)
    return pptx.result(), pdf.result()[0]


def _copy(study: StudyView, figure: FigureSpec, folder: Path) -> None:
    source = next(path for each, path in study.figures if each is figure and path is not None)
    target = folder / "figures" / study.spec.name / f"{figure.id}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source.with_suffix(".png"), target)
