"""Slides: one a claim in the lecture's order, the same words and numbers as the report, the same bytes again."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.report import build, convert, phrases, slides
from claimcheck.report.gather import ReportView, gather
from claimcheck.report.slides import build_slides
from claimcheck.report.text import inline
from claimcheck.results.state import Collection, Results
from claimcheck.spec.config import Config
from claimcheck.spec.models import FigureSpec

Find = Callable[..., tuple[Config, dict[str, Results]]]

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"


class Deck:
    """A pptx: the paragraphs of each slide, its notes, its pictures' alternative texts, and its pictures' places."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            self.names = archive.namelist()
            self.times = {entry.date_time for entry in archive.infolist()}
            count = sum(bool(re.fullmatch(r"ppt/slides/slide\d+\.xml", name)) for name in self.names)
            self.slides, self.notes, self.alts, self.frames = [], [], [], []
            for number in range(1, count + 1):
                root = ElementTree.fromstring(archive.read(f"ppt/slides/slide{number}.xml"))
                self.slides.append([paragraph for shape in root.iter(f"{P}sp") for paragraph in texts(shape)])
                self.alts.append([each.get("descr") for pic in root.iter(f"{P}pic") for each in pic.iter(f"{P}cNvPr")])
                self.frames += [frame(pic) for pic in root.iter(f"{P}pic")]
                said = archive.read(f"ppt/slides/_rels/slide{number}.xml.rels").decode()
                found = re.search(r"notesSlides/(notesSlide\d+\.xml)", said)
                page = ElementTree.fromstring(archive.read(f"ppt/notesSlides/{found[1]}")) if found else None
                self.notes.append(" ".join(texts(page)) if page is not None else "")

    @property
    def text(self) -> str:
        return " ".join(" ".join(line for slide in self.slides for line in slide).split())


def texts(root: ElementTree.Element) -> list[str]:
    joined = ["".join(text.text or "" for text in each.iter(f"{A}t")) for each in root.iter(f"{A}p")]
    return [line for line in joined if line]


def frame(picture: ElementTree.Element) -> tuple[int, ...]:
    (place,) = picture.iter(f"{A}xfrm")
    return tuple(int(place[at].get(key)) for at, key in ((0, "x"), (0, "y"), (1, "cx"), (1, "cy")))


@pytest.fixture(scope="module")
def made(project: Path, find: Find) -> tuple[Path, Path]:
    return tuple(build_slides(*find(project)))


@pytest.fixture(scope="module")
def deck(made: tuple[Path, Path]) -> Deck:
    return Deck(made[0])


@pytest.fixture(scope="module")
def seen(project: Path, find: Find) -> ReportView:
    return gather(*find(project))


@pytest.fixture(scope="module")
def pages(made: tuple[Path, Path]) -> list[str]:
    """The text of slides.pdf, page by page."""
    return pages_of(made[1])


def pages_of(pdf: Path) -> list[str]:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine (poppler-utils)")
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    return [" ".join(page.split()) for page in done.stdout.split("\f")[:-1]]


def test_a_title_and_the_counts_then_one_slide_a_claim_in_the_lectures_order(
    deck: Deck, pages: list[str], seen: ReportView
) -> None:
    told = [claim for claim in seen.claims.values() if claim.state != "planned"]
    assert len(told) == 10
    assert len(deck.slides) == len(pages) == 2 + len(told)
    assert deck.slides[0][0] == "Nets & <b>depth</b>"
    assert deck.slides[1][0] == "11 claims, counted"
    assert "1 ◩ mixed" in " ".join(deck.slides[1])
    for slide, page, claim in zip(deck.slides[2:], pages[2:], told, strict=True):
        plain = claim.says.split("$")[0].split("`")[0].strip()
        assert slide[0].startswith(plain)
        assert plain in page
        assert any(line.split(" ", 1)[1].startswith(claim.state) for line in slide[1:]), "a sign, then the verdict"
        assert claim.state in page


def test_a_verdict_has_a_sign_of_its_own(deck: Deck) -> None:
    shown = "supported|contradicted|mixed|inconclusive|holds|does not hold"
    found = [re.match(rf"(\S) ({shown})\b", line) for slide in deck.slides[1:] for line in slide[1:]]
    signs = {(each[1], each[2]) for each in found if each}
    assert {state for _, state in signs} == set(shown.split("|"))
    assert len({sign for sign, _ in signs}) == 6


def test_every_number_is_that_of_the_page_the_documents_and_the_table(
    project: Path, deck: Deck, pages: list[str], seen: ReportView
) -> None:
    with (project / "results/quick/verdicts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    page = (project / "reports/quick/report.html").read_text(encoding="utf-8")
    shown = [" ".join(re.sub(r"<[^>]+>", " ", page).split()), deck.text, " ".join(pages)]
    shown += [" ".join(pages_of(project / f"reports/quick/{name}.pdf")) for name in ("report", "evidence")]
    checked = 0
    for claim in seen.claims.values():
        deciding = claim.deciding
        own = [row for row in rows if deciding and row["prediction"] == deciding.spec.id]
        for row, outcome in zip(own, deciding.outcomes if own else (), strict=True):
            assert float(row["median"]) == outcome.median
            number = phrases.estimate_of(deciding, outcome)
            for text in shown if deciding.is_fact else (shown[0], shown[1], shown[2], shown[4]):
                assert number in text
            if row["k"]:
                assert all(f"{row['k']} of {row['n']} runs" in text for text in shown)
            checked += 1
    assert checked == 8


def test_a_figure_has_its_alternative_text_and_stays_on_its_slide(deck: Deck) -> None:
    drawn = {slide[0]: alts for slide, alts in zip(deck.slides, deck.alts, strict=True) if alts}
    assert drawn == {
        "Noise has mean zero, E[ϵ] = 0.": ['Two noisy curves "round" zero.'],
        "Treatment helps.": ["Two groups of dots."],
    }
    for left, top, width, height in deck.frames:
        assert left >= 0
        assert left + width <= 9144000
        assert top >= 1700000, "below the words"
        assert top + height <= 5143500
        assert width * height > 0.2 * 9144000 * 5143500, "large enough to be seen from the last row"


def test_the_notes_name_source_and_number_of_runs(deck: Deck) -> None:
    notes = {slide[0]: said for slide, said in zip(deck.slides, deck.notes, strict=True)}
    for words in ("Source: study Coins (coins), figure by-step; 16 runs", "The mean x̄ is zero.", "noise-is-centred"):
        assert words in notes["Noise has mean zero, E[ϵ] = 0."]
    assert "32 runs" in notes["Treatment helps."]
    assert "Source: study" not in notes["Deep is beautiful."]


def test_what_is_out_of_date_or_cannot_be_tested_is_told_so(deck: Deck) -> None:
    for words in ("A judgement, no measurement decides it.", "out of date. There is no result of it as it stands."):
        assert words in deck.text


def test_the_same_results_give_the_same_slides(project: Path, find: Find, made: tuple[Path, Path]) -> None:
    again = build_slides(*find(project, reports=project / "slides again"))
    for one, other in zip(made, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert len(Deck(made[0]).times) == 1


def test_slides_of_some_claims_that_were_edited_are_kept(project: Path, find: Find) -> None:
    reports = project / "slides of some"
    (pptx, _) = build_slides(*find(project, reports=reports), claims=["later"])
    made = pptx.read_bytes()
    build_slides(*find(project, reports=reports), claims=["later"])
    assert [path.name for path in pptx.parent.glob("*.pptx")] == [pptx.name], "the same again is no other deck"
    pptx.write_bytes(b"edited")
    build_slides(*find(project, reports=reports), claims=["later"])
    assert pptx.read_bytes() == made
    assert pptx.with_stem(f"{pptx.stem}-earlier").read_bytes() == b"edited"


def test_some_claims_are_chosen_by_their_ids_and_leave_all_slides_alone(project: Path, find: Find) -> None:
    whole = project / "reports/quick/slides.pptx"
    before = whole.read_bytes()
    pptx, pdf = build_slides(*find(project), sections=["depth"], claims=["later"])
    assert (pptx.name, pdf.name) == ("slides-depth-later.pptx", "slides-depth-later.pdf")
    titles = [slide[0] for slide in Deck(pptx).slides[1:]]
    assert len(titles) == 5
    assert titles[-1] == "It will be tested.", "asked for by its name, though nothing has tested it"
    assert whole.read_bytes() == before


@pytest.mark.parametrize("option", ["claims", "sections"])
def test_an_unknown_id_is_one_line(project: Path, find: Find, option: str) -> None:
    with pytest.raises(ClaimcheckError, match=rf"--{option}.*found 'dept") as caught:
        build_slides(*find(project), **{option: ["dept"]})
    assert "\n" not in str(caught.value)


def test_slides_of_another_report_are_taken_away(project: Path, find: Find, tmp_path: Path) -> None:
    from claimcheck.results import view

    config, results = find(project, reports=tmp_path / "reports")
    collection = Collection(config, results).as_it_is()
    config.reports.mkdir(parents=True)
    (config.reports / "slides.pdf").write_text("of an earlier report")
    build.build(config, results)
    assert not (config.reports / "slides.pdf").exists()
    build_slides(config, results, publish=False)
    view.publish_report(collection)
    assert (config.reports / "slides.pdf").read_bytes() == (collection.report / "slides.pdf").read_bytes()


def test_a_report_in_another_folder_is_another_one_for_its_links_lead_elsewhere(
    project: Path, find: Find, tmp_path: Path
) -> None:
    config, results = find(project)
    there = Collection(config, results)
    moved, stored = (config.model_copy(update={f"{key}_dir": tmp_path / key}) for key in ("reports", "results"))
    others = Collection(moved, results), Collection(config, results, into=tmp_path), Collection(stored, results)
    assert len({each.report_digest for each in (there, *others)}) == 4
    job = Collection(stored, results, into=config.results_dir)
    assert job.report_digest == there.report_digest, "a job with its files elsewhere makes the one that was planned"
    assert [each.report.name for each in job.forms()] == [each.report.name for each in there.forms()]
    made = [path for make in (build.build, build_slides) for path in make(moved, results, publish=False, into=tmp_path)]
    assert {path.parent for path in made} == {Collection(moved, results, into=tmp_path).as_it_is().report}


def test_a_slide_says_what_was_measured_and_what_came_out(deck: Deck, pages: list[str]) -> None:
    (slide,) = [slide for slide in deck.slides if slide[0] == "Noise is large."]
    assert slide[1].endswith("The mean is above ten.")
    assert slide[2].startswith("True in 0 of 16 runs")
    assert any("The mean is above ten. True in 0 of 16 runs" in page for page in pages)


def test_words_too_long_for_their_box_are_set_smaller_and_others_are_not() -> None:
    def slide(letters: int) -> str:
        words = f"<p:txBody><a:bodyPr /><a:t>{'x' * letters}</a:t></p:txBody>"
        return f'<p:sp><p:ph idx="2" type="body" />{words}</p:sp><p:pic></p:pic>'

    assert convert._fitted(slide(400)) == slide(400)
    assert 'fontScale="70000"' in convert._fitted(slide(960))


@pytest.mark.parametrize(("part", "chosen"), [("second", "of-second"), ("first", "of-first"), ("third", "of-first")])
def test_a_slide_shows_the_figure_of_what_decided_its_claim(part: str, chosen: str) -> None:
    figures = [
        FigureSpec(id=f"of-{name}", caption="c", alt="a", part=name, claims=["a"]) for name in ("first", "second")
    ]
    study = SimpleNamespace(figures=[(figure, Path("x.svg")) for figure in figures])
    deciding = SimpleNamespace(spec=SimpleNamespace(part=part), measured=True)
    assert slides._figure(study, SimpleNamespace(id="a", deciding=deciding)).id == chosen
    deciding.measured = False
    assert slides._figure(study, SimpleNamespace(id="a", deciding=deciding)) is None, "nothing decided it"


PLAIN, LINED, DASHED = "Dots of runs. Means.", "Dots of runs. Means. Dashed, theory.", "Dots, theory dashed. Means."


@pytest.mark.parametrize(
    ("caption", "part", "said"),
    [
        (PLAIN, "first", ""),
        (PLAIN, "second", "Dots of runs."),
        (PLAIN, None, "Dots of runs."),
        (LINED, "first", "Dots of runs. Dashed, theory."),
        (LINED, "second", "Dots of runs. Dashed, theory."),
        (DASHED, "first", "Dots, theory dashed."),
    ],
)
def test_a_slide_says_what_its_figure_draws_where_that_is_not_what_decided_or_has_lines(caption, part, said) -> None:
    figure = FigureSpec(id="dots", caption=caption, alt="a", part=part, claims=["a"])
    deciding = SimpleNamespace(spec=SimpleNamespace(part="first"))
    drawn = slides.Slide(SimpleNamespace(deciding=deciding), None, None, figure).drawn
    assert drawn == (inline(said) if said else "")


def test_slides_of_studies_that_are_left_out_are_not_made(project: Path, find: Find) -> None:
    config, results = find(project)
    left = gather(config, {"hostile": results["hostile"]})
    made = {slide.claim.id for slide in slides.choose(left, (), ())}
    assert "noise-is-large" not in made
    assert {slide.claim.id for slide in slides.choose(left, ("noise-is-large",), ())} == {"noise-is-large"}


def test_a_claim_that_needs_a_gpu_says_so() -> None:
    deciding = SimpleNamespace(row={"note": "part cards: it needs a GPU"}, measured=False, is_fact=False)
    claim = SimpleNamespace(deciding=deciding, lecture=None, state="not run")
    assert slides.Slide(claim, None).found == "It was not run here: it needs a GPU."
