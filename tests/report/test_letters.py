"""Letters that the PDF's fonts lack: which they are, and what stands for them."""

import pytest

from claimcheck.report import letters


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
    letters.write_names(source, target, {"🪙"})
    assert (target / "pictures" / "coin.half.svg").read_text(encoding="utf-8") == "<svg><text>10 ⟨coin⟩</text></svg>"
    text = (target / "report.typ").read_text(encoding="utf-8")
    assert '"\\u{1fa99}": "⟨coin⟩"' in text
    assert "= A 🪙" in text, "the text itself stays, and what a reader hears with it"
    assert picture.read_text(encoding="utf-8") == "<svg><text>10 🪙</text></svg>"
