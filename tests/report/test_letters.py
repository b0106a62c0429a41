"""Letters that the PDF's fonts lack: which they are, and what stands for them; what cannot be set at all is told."""

import shutil
import subprocess
import sys

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.report import build as report
from claimcheck.report import letters


@pytest.fixture
def changed(project, tmp_path):
    """changed("coins/study.yaml", old, new): a copy of the project with one text of its studies replaced."""

    def make(file, old, new):
        for name in ("studies", "results"):
            shutil.copytree(project / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        path = tmp_path / "studies" / file
        words = path.read_text(encoding="utf-8")
        assert old in words
        path.write_text(words.replace(old, new), encoding="utf-8")
        return tmp_path

    return make


def test_letters_are_read_from_what_typst_says():
    said = (
        'error: PDF/UA-1 error: the text `"中"` could not be displayed with a font\n\nerror: the text `"\\u{200d}é"` '
    )
    assert letters.lacking(said + "could not be displayed with font `x`") == {"中", "\u200d", "é"}
    assert letters.lacking("error: unknown variable: foo") == set()


@pytest.mark.parametrize(
    ("letter", "name"),
    [
        ("🚀", "⟨rocket⟩"),
        ("🪙", "⟨coin⟩"),
        ("中", "⟨U+4E2D⟩"),
        ("प", "⟨U+092A⟩"),
        ("\u200d", ""),
        ("\ufe0f", ""),
        ("\U000e0000", "⟨U+E0000⟩"),
    ],
)
def test_a_symbol_has_its_name_a_letter_its_code_and_what_is_never_seen_nothing(letter, name):
    assert letters.name(letter) == name


def test_names_stand_in_pictures_too(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    picture = source / "pictures" / "coin.half.svg"
    picture.parent.mkdir(parents=True)
    picture.write_text("<svg><text>10 🪙</text></svg>", encoding="utf-8")
    (source / "report.typ").write_text("= A 🪙", encoding="utf-8")
    letters.write_names(source / "report.typ", target, {"🪙"})
    assert (target / "pictures" / "coin.half.svg").read_text(encoding="utf-8") == "<svg><text>10 ⟨coin⟩</text></svg>"
    text = (target / "report.typ").read_text(encoding="utf-8")
    assert '"\\u{1fa99}": "⟨coin⟩"' in text
    assert "= A 🪙" in text, "the text itself stays, and what a reader hears with it"
    assert picture.read_text(encoding="utf-8") == "<svg><text>10 🪙</text></svg>"


FOREIGN = {
    "a rocket in a title": ("coins/study.yaml", "title: Coins", "title: Coins 🚀", "🚀", "⟨rocket⟩", "title"),
    "a Chinese claim": (
        "lecture.yaml",
        "Noise is large.",
        "噪声很大。",
        "噪",
        "⟨U+566A⟩",
        "claims.noise-is-large.says",
    ),
    "Japanese in notes": ("coins/notes.md", "It stops", "ノイズ stops", "ノ", "⟨U+30CE⟩", "notes.md"),
    "a word in a formula": ("coins/notes.md", "\\neq 0.", "\\neq 0 \\text{零}.", "零", "⟨U+96F6⟩", "notes.md"),
    "a unit in a picture": ("coins/study.yaml", "unit: nats", "unit: 🪙", "🪙", "⟨coin⟩", "unit"),
    "a family": ("coins/study.yaml", "title: Coins", "title: Coins 👩‍👧", "👩‍👧", "⟨woman⟩⟨girl⟩", "title"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_letters_that_no_font_has_are_in_the_page_and_named_in_the_pdf(changed, find, capsys, name):
    file, old, new, letter, shown, key = FOREIGN[name]
    root = changed(file, old, new)
    html, _, pdf, _ = report.build(*find(root))
    assert letter in html.read_text(encoding="utf-8")
    said = capsys.readouterr().err
    assert key in said
    assert file in said
    words = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True).stdout
    assert shown in "".join(words.split())


def test_letters_that_another_font_has_are_shown(changed, find, capsys):
    root = changed("coins/study.yaml", "title: Coins", "title: Coins ☃ 😀 Ӝ")
    _, _, pdf, _ = report.build(*find(root))
    words = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True).stdout
    assert "Coins ☃ 😀 Ӝ" in words
    assert not capsys.readouterr().err


def test_the_page_is_there_even_where_the_pdf_cannot_be_set(changed, find, monkeypatch):
    def refuse(*_):
        raise ClaimcheckError("typst cannot set the PDF (unknown variable)", where="report", found="\\bar x")

    root = changed("coins/study.yaml", "title: Coins", "title: Coin")
    monkeypatch.setattr(report.convert, "to_pdf", refuse)
    with pytest.raises(ClaimcheckError, match=r"coins/study\.yaml: claims\..*mean-is-zero\.says: typst cannot set"):
        report.build(*find(root))
    assert [path.name for path in (root / "reports/quick").iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        ("coins/notes.md", "\\neq 0.", "\\neq { 0.", r"coins/notes\.md: "),
        ("coins/study.yaml", "plain draws", "plain $\\\\frac{a$ draws", ""),
        ("coins/study.yaml", "$x \\sim N(\\mu, 1)$", "$x \\simm N$", r"coins/study\.yaml: method: "),
        ("coins/study.yaml", "- two", "![x](/etc/passwd)", r"coins/study\.yaml: method: .*must not hold pictures"),
        ("lecture.yaml", "$E[\\\\epsilon] = 0$", "$\\\\nosuch{0}$", r"lecture\.yaml: .*noise-is-centred\.says: "),
    ],
)
def test_what_cannot_be_set_is_told_with_study_and_key(changed, find, file, old, new, key):
    root = changed(file, old, new)
    if not key:  # braces that do not close are no formula, but text
        report.build(*find(root))
        return
    with pytest.raises(ClaimcheckError, match=key) as caught:
        report.build(*find(root))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lacking", ["pypandoc", "typst"])
def test_without_a_library_that_sets_texts_there_is_one_line(project, find, tmp_path, monkeypatch, lacking):
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(ClaimcheckError, match=rf"the package {lacking} is not installed; pip install 'claimcheck"):
        report.build(*find(project, reports=tmp_path / "reports"), publish=False)
