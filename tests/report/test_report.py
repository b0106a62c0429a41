"""The report as a whole: whole, honest, self-contained, the same in both formats, and the same bytes again."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.report import build as report
from claimcheck.report import text
from claimcheck.report.gather import gather
from claimcheck.results.state import Collection, Results
from claimcheck.spec.config import Config
from claimcheck.spec.reading import study_names

Find = Callable[..., tuple[Config, dict[str, Results]]]

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """Every tag with its attributes, every id, and the text without scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def source(project: Path) -> str:
    return (project / "reports/quick/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


@pytest.fixture(scope="module")
def verdicts(project: Path) -> list[dict[str, str]]:
    with (project / "results/quick/verdicts.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pages_of(pdf: Path) -> list[str]:
    """A PDF's text, page by page."""
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine (poppler-utils)")
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    return done.stdout.split("\f")[:-1]


@pytest.fixture(scope="module")
def pdf_text(project: Path) -> list[str]:
    """The text of evidence.pdf, page by page."""
    return pages_of(project / "reports/quick/evidence.pdf")


@pytest.fixture(scope="module")
def short_text(project: Path) -> list[str]:
    """The text of report.pdf, page by page."""
    return pages_of(project / "reports/quick/report.pdf")


def test_nothing_is_loaded_from_outside(page: Page, source: str) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "poster", "xlink:href", "action"):
            assert not attributes.get(name) or attributes[name].startswith("data:"), (tag, attributes[name][:80])
        if tag in ("link", "use", "image", "script", "iframe"):
            assert (attributes.get("href") or "data:").startswith(("data:", "#"))
    style = "".join(re.findall(r"<style>(.*?)</style>", source, re.DOTALL))
    assert "@import" not in style
    assert "url(" not in style
    script = "".join(re.findall(r"<script>(.*?)</script>", source, re.DOTALL))
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(", script)


def test_every_internal_link_resolves(page: Page, project: Path) -> None:
    assert len(set(page.ids)) == len(page.ids)
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and attributes.get("href")]
    assert sum(link.startswith("#") for link in links) > 20
    for link in links:
        if link.startswith("#"):
            assert unquote(link[1:]) in page.ids, link
        elif not urlsplit(link).scheme:
            assert (project / "reports/quick" / unquote(link)).resolve().is_file(), link


def test_every_picture_has_an_alternative_text(page: Page) -> None:
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 3
    assert images[0]["alt"] == 'Two noisy curves "round" zero.'
    for attributes in images:
        assert attributes["alt"]
        kind, _, data = attributes["src"].partition(",")
        assert kind == "data:image/svg+xml"
        assert ElementTree.fromstring(unquote(data)).tag == "{http://www.w3.org/2000/svg}svg"
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in drawings)


def test_numbers_in_the_page_are_those_of_the_table(page: Page, verdicts: list[dict[str, str]]) -> None:
    assert len(verdicts) == 15, "a row a data set, without the study that is out of date"
    for row in verdicts:
        ends = [float(row[key]) if row[key] else None for key in ("low", "high")]
        assert text.estimate(float(row["median"]), *ends) in page.text
        assert text.interval(*ends) in page.text
        if row["kind"] != "fact":
            assert f"{row['k']} of {row['n']} runs" in page.text


def test_notes_carry_the_numbers_of_the_table(page: Page, verdicts: list[dict[str, str]]) -> None:
    row = next(row for row in verdicts if row["prediction"] == "mean-is-zero")
    value, low, high = (float(row[key]) for key in ("median", "low", "high"))
    shown = {
        "size": text.estimate(abs(value), *sorted((abs(low), abs(high)))),
        "percent": text.estimate(100 * value, 100 * low, 100 * high),
        "factor": text.estimate(math.exp(value), math.exp(low), math.exp(high)),
    }
    assert f"True in {row['k']} of {row['n']} runs: the mean is" in page.text
    assert f"That is {shown['size']} in size, {shown['percent']} % and a factor of {shown['factor']}." in page.text


def test_notes_tell_data_sets_apart_and_facts_by_their_value(page: Page) -> None:
    assert (
        "It is true in 31 of 32 runs on clear data and in 2 of 32 runs on digits, in short 31 of 32 runs (clear), "
        "2 of 32 runs (digits); the medians are 0.655 (clear), −0.3 (digits). One is 1 and holds; 32 numbers have the "
        "median 3.00."
    ) in page.text


def test_pdf_says_what_the_page_says(pdf_text: list[str], page: Page, verdicts: list[dict[str, str]]) -> None:
    whole = " ".join(" ".join(pdf_text).split())
    for row in verdicts:
        ends = [float(row[key]) if row[key] else None for key in ("low", "high")]
        assert text.estimate(float(row["median"]), *ends) in whole
        if row["kind"] != "fact":
            assert f"{row['k']} of {row['n']} runs" in whole
    for words in ("Noise is large.", "Noise decides.", "A claim of our own.", "It will be tested.", "A coin."):
        assert words in whole
        assert words in page.text
    for state in ("supported", "contradicted", "mixed", "inconclusive", "not run", "out of date", "holds", "planned"):
        assert len(re.findall(state, whole)) >= 1
        assert state in page.text


def test_pdfs_have_no_blank_page_and_number_their_pages(pdf_text: list[str], short_text: list[str]) -> None:
    for pages in (pdf_text, short_text):
        for number, words in enumerate(pages, start=1):
            assert len(words.split()) > 15, f"page {number} is (nearly) blank"
            assert re.search(rf"\b{number} ?/ ?{len(pages)}\b", words)


def test_the_short_report_has_a_first_page_the_table_and_a_spread_a_study(
    project: Path, short_text: list[str], pdf_text: list[str]
) -> None:
    first = [number for number, words in enumerate(short_text) if "At a glance" in words]
    table = [number for number, words in enumerate(short_text) if "The lecture, claim by claim" in words]
    assert (first, table) == ([0], [1])
    assert len(short_text) <= 2 + 2 * len(study_names(project / "studies"))
    assert len(short_text) < len(pdf_text)


def test_the_short_report_says_what_the_whole_one_says(short_text: list[str], verdicts: list[dict[str, str]]) -> None:
    whole = " ".join(" ".join(short_text).split())
    deciding = {}
    for row in verdicts:
        if row["kind"] == "main" and row["claim_verdict"] == row["verdict"]:
            deciding.setdefault((row["claim"], row["data"]), row)
    assert deciding
    for row in deciding.values():
        assert f"{row['k']} of {row['n']} runs" in whole
    assert "How it was tested" not in whole
    assert "How a verdict is reached" not in whole


@pytest.mark.parametrize("name", ["report.pdf", "evidence.pdf"])
def test_pdfs_keep_every_word_inside_their_margins(project: Path, name: str) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine (poppler-utils)")
    command = ["pdftotext", "-bbox", project / "reports/quick" / name, "-"]
    boxes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    margin, width = 22 * 72 / 25.4, 210 * 72 / 25.4
    words = re.findall(r'<word xMin="([\d.]+)".*? xMax="([\d.]+)".*?>(.*?)</word>', boxes)
    assert len(words) > 500
    for left, right, word in words:
        assert float(left) >= margin - 1, word
        assert float(right) <= width - margin + 1, word


def test_pdf_is_tagged_and_holds_vector_figures(project: Path) -> None:
    if shutil.which("pdfimages") is None:
        pytest.skip("no pdfimages on this machine (poppler-utils)")
    path = project / "reports/quick/evidence.pdf"
    info = subprocess.run(["pdfinfo", path], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Tagged:\s+yes", info)
    images = subprocess.run(["pdfimages", "-list", path], capture_output=True, text=True, check=True).stdout
    assert len(images.splitlines()) == 2


def test_hostile_text_is_shown_as_text(page: Page, pdf_text: list[str], source: str) -> None:
    assert "<script>alert(1)</script> #include(" in page.text
    assert source.count("<script>") == 1
    assert "<i>m</i>" in page.text
    assert not [1 for tag, attributes in page.tags if (attributes.get("href") or "").startswith("javascript:")]
    assert not [tag for tag, _ in page.tags if tag in ("b", "i")]
    whole = " ".join(" ".join(pdf_text).split())
    assert "<script>alert(1)</script> #include(" in whole
    assert "A heading of its own" in page.text


def test_counts_add_up_and_states_are_honest(project: Path, find: Find) -> None:
    view = gather(*find(project))
    assert view.counts() == {
        "supported": 1,
        "contradicted": 1,
        "mixed": 1,
        "inconclusive": 1,
        "not run": 2,
        "out of date": 1,
        "failed": 0,
        "planned": 1,
        "not testable": 1,
        "holds": 1,
        "does not hold": 1,
    }
    assert sum(view.counts().values()) == len(view.lecture.claims())
    old = next(study for study in view.studies if study.spec.name == "old")
    assert old.predictions()[0].was == "supported"
    assert "has changed since" in old.problem
    assert old.changed == ("judge: would run: claims changed",)


def test_claims_beyond_the_lecture_are_counted_apart(page: Page) -> None:
    assert re.findall(r"\(and \d beyond the lecture.*?\)", page.text) == ["(and 2 beyond the lecture: 2 supported)"]


def test_an_old_verdict_is_never_shown_as_new(page: Page) -> None:
    assert "out of date was: supported" in page.text
    assert "This report is not complete." in page.text
    assert "has not been run to its end at this scale" in page.text


def test_the_page_tells_what_cannot_be_missed(page: Page) -> None:
    for words in (
        "claimcheck run coins --scale quick",
        "arXiv:1611.01232",
        "Beside published and theoretical values",
        "A judgement, no measurement decides it.",
        "So few runs cannot decide whether it is true in more than 50 % of runs.",
        "Only all 16 support that it is true in more than 50 % of runs; only none contradicts it.",
    ):
        assert words in page.text, words


def test_the_same_results_give_the_same_bytes(project: Path, find: Find) -> None:
    report.build(*find(project, reports=project / "again"))
    for name in ("report.html", "report.pdf", "evidence.pdf"):
        assert (project / "again/quick" / name).read_bytes() == (project / "reports/quick" / name).read_bytes()


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """Copies of studies and results that a test may spoil."""
    for name in ("studies", "results"):
        shutil.copytree(project / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    words = path.read_text(encoding="utf-8")
    assert old in words
    path.write_text(words.replace(old, new), encoding="utf-8")


def test_a_report_of_nothing_is_made_and_says_so(project: Path, find: Find, tmp_path: Path) -> None:
    shutil.copytree(project / "studies", tmp_path / "studies", ignore=shutil.ignore_patterns("__pycache__"))
    made = report.build(*find(tmp_path, "smoke"))
    page = Page(made[0].read_text(encoding="utf-8"))
    assert "Nothing has been run at this scale." in page.text
    assert "The study has no settings for scale smoke." in page.text
    assert "its verdicts say nothing about the lecture" in page.text


def test_a_folder_that_cannot_be_written_is_one_line(own: Path, find: Find) -> None:
    (own / "reports").write_text("a file", encoding="utf-8")
    with pytest.raises(ClaimcheckError, match=r"reports.*cannot make this folder"):
        report.build(*find(own))


def test_changed_code_makes_verdicts_out_of_date(own: Path, find: Find) -> None:
    edit(own / "studies/coins/runs.py", ".standard_normal(", ".standard_cauchy(")
    view = gather(*find(own))
    assert view.counts()["out of date"] == 4
    assert view.counts()["supported"] == 0
    coins = next(study for study in view.studies if study.spec.name == "coins")
    assert not any(prediction.measured for prediction in coins.predictions())
    assert "part tosses: would run: runs.py (run_tosses and what it reaches) changed" in coins.changed


def test_a_study_that_failed_is_shown_as_failed(own: Path, find: Find) -> None:
    (own / "results/quick/never").mkdir()
    (own / "results/quick/never/run.log").write_text("claimcheck: disk <b>full</b>\n", encoding="utf-8")
    assert gather(*find(own)).claims["never-run"].state == "failed"
    page = Page(report.build(*find(own))[0].read_text(encoding="utf-8"))
    assert "disk <b>full</b>" in page.text


def test_an_edited_verdict_is_refused(own: Path, find: Find) -> None:
    config, results = find(own)
    for path in (results["coins"].view / "verdicts.json", results["coins"].verdicts):
        whole = path.read_text(encoding="utf-8")
        entries = json.loads(whole)
        entries[0]["tests"][0]["k"] = 1
        path.write_text(json.dumps(entries), encoding="utf-8")
        with pytest.raises(ClaimcheckError, match=r"verdicts.*changed after it was (judged|published)"):
            report.build(config, results)
        path.write_text(whole, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("notes.md", "estimate('mean-is-zero')", "estimate('mean-is-nought')", "nought.*did you mean 'mean-is-zero'"),
        ("notes.md", "{{ verdict('noise-is-centred') }}", "{{ verdict(3) }}", "unknown claim or prediction"),
        ("notes.md", "@gauss1809theoria", "@gaus1809theoria", "cites a work.*did you mean 'gauss1809theoria'"),
        ("notes.md", "$$\\mu \\neq 0.$$", "$$\\mu \\neq { 0.$$", "formula"),
        ("study.yaml", "- two", "![x](/etc/passwd)", "must not hold pictures"),
        ("study.yaml", "$\\\\bar x$", "$\\\\unknowncommand{x$", ""),
    ],
)
def test_what_cannot_be_set_is_one_clear_line(own: Path, find: Find, file: str, old: str, new: str, fault: str) -> None:
    edit(own / "studies/coins" / file, old, new)
    if not fault:
        report.build(*find(own))
        return
    with pytest.raises(ClaimcheckError, match=fault) as caught:
        report.build(*find(own))
    assert "\n" not in str(caught.value)
    assert not (own / "reports/quick/report.html").exists()


def test_what_was_changed_back_is_current_again(own: Path, find: Find) -> None:
    before = gather(*find(own)).counts()
    edit(own / "studies/coins/runs.py", ".standard_normal(", ".standard_cauchy(")
    edit(own / "studies/coins/runs.py", ".standard_cauchy(", ".standard_normal(")
    assert gather(*find(own)).counts() == before


def test_only_the_studies_asked_for_are_shown(own: Path, find: Find) -> None:
    made = report.build(*find(own), only=["hostile"])
    page = Page(made[0].read_text(encoding="utf-8"))
    assert "Noise has mean zero" in page.text, "every claim of the lecture is listed"
    assert "study-coins" not in page.ids, "no page of a study that is not asked for"
    assert "This report is not complete." not in page.text
    config, results = find(own)
    assert gather(config, {"hostile": results["hostile"]}).claims["noise-is-large"].state == "not run"
    with made[-1].open(encoding="utf-8", newline="") as file:
        assert {row["study"] for row in csv.DictReader(file)} == {"hostile"}


def test_what_is_not_published_stays_in_the_store(own: Path, find: Find) -> None:
    config, results = find(own)
    made = report.build(config, results, publish=False)
    assert {path.parent for path in made} == {Collection(config, results).as_it_is().report}
    assert not (own / "reports").exists()
