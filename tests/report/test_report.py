"""The report as a whole: whole, honest, self-contained, the same in both formats, and the same bytes again."""

from __future__ import annotations

import base64
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

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_json
from claimcheck.judging import calibration
from claimcheck.report import build as report
from claimcheck.report import text
from claimcheck.report.gather import gather
from claimcheck.results.seals import sealed
from claimcheck.results.state import Collection, Results
from claimcheck.spec.config import Config

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


@pytest.fixture(scope="module")
def pdf_text(project: Path) -> list[str]:
    """The PDF's text, page by page."""
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine (poppler-utils)")
    command = ["pdftotext", "-layout", project / "reports/quick/report.pdf", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split("\f")[:-1]


def test_nothing_is_loaded_from_outside(page: Page, source: str) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "poster", "xlink:href", "action"):
            assert not attributes.get(name) or attributes[name].startswith("data:"), (tag, attributes[name][:80])
        if tag in ("link", "use", "image", "script", "iframe"):
            assert (attributes.get("href") or "data:").startswith("data:")
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
    assert len(images) == 2
    assert images[0]["alt"] == 'Two noisy curves "round" zero.'
    for attributes in images:
        assert attributes["alt"]
        kind, _, data = attributes["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data)
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in drawings)


def test_numbers_in_the_page_are_those_of_the_table(page: Page, verdicts: list[dict[str, str]]) -> None:
    assert len(verdicts) == 7, "without the study that is out of date"
    for row in verdicts:
        low, high, value = float(row["low"]), float(row["high"]), float(row["estimate"])
        assert text.estimate(value, low, high) in page.text
        assert text.interval(low, high) in page.text
        assert f"{row['average']} over {row['n']} seeds" in page.text


def test_notes_carry_the_numbers_of_the_table(page: Page, verdicts: list[dict[str, str]]) -> None:
    row = next(row for row in verdicts if row["prediction"] == "mean-is-zero")
    value, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
    shown = {
        "size": text.estimate(abs(value), *sorted((abs(low), abs(high)))),
        "percent": text.estimate(100 * value, 100 * low, 100 * high),
        "factor": text.estimate(math.exp(value), math.exp(low), math.exp(high)),
    }
    assert f"That is {shown['size']} in size, {shown['percent']} % and a factor of {shown['factor']}." in page.text


def test_pdf_says_what_the_page_says(pdf_text: list[str], page: Page, verdicts: list[dict[str, str]]) -> None:
    whole = " ".join(" ".join(pdf_text).split())
    for row in verdicts:
        assert text.estimate(float(row["estimate"]), float(row["low"]), float(row["high"])) in whole
        assert f"{row['average']} over {row['n']} seeds" in whole
    for words in ("Noise is large.", "Noise decides.", "A claim of our own.", "It will be tested.", "A coin."):
        assert words in whole
        assert words in page.text
    for state in ("supported", "contradicted", "inconclusive", "not run", "out of date", "planned", "not testable"):
        assert len(re.findall(state, whole)) >= 1
        assert state in page.text


def test_pdf_has_no_blank_page_and_numbers_its_pages(pdf_text: list[str]) -> None:
    for number, words in enumerate(pdf_text, start=1):
        assert len(words.split()) > 15, f"page {number} is (nearly) blank"
        assert f"{number} / {len(pdf_text)}" in words


def test_pdf_keeps_every_word_inside_its_margins(project: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine (poppler-utils)")
    command = ["pdftotext", "-bbox", project / "reports/quick/report.pdf", "-"]
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
    path = project / "reports/quick/report.pdf"
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
        "supported": 2,
        "contradicted": 1,
        "inconclusive": 1,
        "not run": 1,
        "out of date": 1,
        "failed": 0,
        "planned": 1,
        "not testable": 1,
    }
    assert sum(view.counts().values()) == len(view.lecture.claims())
    old = next(study for study in view.studies if study.spec.name == "old")
    assert old.predictions()[0].was == "supported"
    assert "has changed since" in old.problem
    assert old.changed == ("judge: would run: claims changed",)


def test_an_old_verdict_is_never_shown_as_new(page: Page) -> None:
    assert "out of date was: supported" in page.text
    assert "This report is not complete." in page.text
    assert "has not been run to its end at this scale" in page.text


def test_the_page_tells_what_cannot_be_missed(page: Page) -> None:
    for words in (
        "claimcheck run coins --scale quick",
        "arXiv:1611.01232",
        "it was −0.1 to 0.1",
        "Beside published and theoretical values",
        "0.35 %",
        "A judgement, no measurement decides it.",
        "not run with fewer than 11 seeds",
    ):
        assert words in page.text, words
    assert "1 of the predictions, or how they are tested, was changed after a first run" in page.text


def test_the_same_results_give_the_same_bytes(project: Path, find: Find) -> None:
    report.build(*find(project, reports=project / "again"))
    for name in ("report.html", "report.pdf"):
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
    assert view.counts()["supported"] == 1
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
        entries[0]["estimate"] = 1.0
        path.write_text(json.dumps(entries), encoding="utf-8")
        with pytest.raises(ClaimcheckError, match=r"verdicts.*changed after it was (judged|published)"):
            report.build(config, results)
        path.write_text(whole, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("notes.md", "estimate('mean-is-zero')", "estimate('mean-is-nought')", "nought.*did you mean 'mean-is-zero'"),
        ("notes.md", "{{ verdict('noise-is-centred') }}", "{{ verdict(3) }}", "unknown claim or prediction"),
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


def test_calibration_and_null_run_stand_in_the_appendix(own: Path, find: Find) -> None:
    config, results = find(own)
    found = calibration.calibrate(12, 5, reports=20, coverage_samples=20)
    write_json(Collection(config, _made(results)).calibration, sealed(found))
    page = Page(report.build(config, results)[0].read_text(encoding="utf-8"))
    assert (own / "results/quick/calibration.json").is_file()
    assert "Tried on 20 simulated reports with 5 predictions of 12 seeds each" in page.text
    for row in found["false_alarms"]:
        assert row["effects"] in page.text
    for row in found["false_alarms"]:
        broken = f"{row['effects']} judged on the {row['average']}"
        assert (broken in page.text) == (not row["kept"]), broken
    assert "Of these, suspicious" in page.text


def test_what_was_changed_back_is_current_again(own: Path, find: Find) -> None:
    before = gather(*find(own)).counts()
    edit(own / "studies/coins/runs.py", ".standard_normal(", ".standard_cauchy(")
    edit(own / "studies/coins/runs.py", ".standard_cauchy(", ".standard_normal(")
    assert gather(*find(own)).counts() == before


def test_only_the_studies_asked_for_are_shown(own: Path, find: Find) -> None:
    made = report.build(*find(own), only=["hostile"])
    page = Page(made[0].read_text(encoding="utf-8"))
    assert "claim-noise-is-centred" in page.ids
    with made[2].open(encoding="utf-8", newline="") as file:
        assert {row["study"] for row in csv.DictReader(file)} == {"hostile"}


def test_what_is_not_published_stays_in_the_store(own: Path, find: Find) -> None:
    config, results = find(own)
    made = report.build(config, results, publish=False)
    assert {path.parent for path in made} == {Collection(config, _made(results)).report}
    assert not (own / "reports").exists()


def _made(results: dict[str, Results]) -> dict[str, Results]:
    return {name: each for name, each in results.items() if each.judged() and each.drawn()}


def test_a_damaged_calibration_is_refused_with_the_command_that_makes_it(own: Path, find: Find) -> None:
    config, results = find(own)
    path = Collection(config, _made(results)).calibration
    for text_of_file in ('{"n":', "[]", json.dumps({"n": 16, "checksum": "0"})):
        path.write_text(text_of_file, encoding="utf-8")
        with pytest.raises(ClaimcheckError, match=r"calibration-.*make it again: claimcheck calibrate --scale quick"):
            report.build(config, results)
    assert not (own / "reports").exists()
