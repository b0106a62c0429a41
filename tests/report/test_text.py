"""Numbers, regions and escaping: what is printed is what was measured and what was written."""

from __future__ import annotations

import math
import re
import subprocess

import pypandoc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimcheck.errors import ClaimcheckError
from claimcheck.report import convert, text


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.0, 3, "0"),
        (-0.0, 3, "0"),
        (1.0, 3, "1"),
        (-0.6931, 3, "−0.693"),
        (1234567.0, 9, "1,234,567"),
        (324.0, 8, "324"),
        (1e-7, 3, "10⁻⁷"),
        (-2.5e-9, 3, "−2.5 × 10⁻⁹"),
        (6.02e23, 3, "6.02 × 10²³"),
        (0.0005, 3, "0.0005"),
        (math.inf, 3, "∞"),
        (-math.inf, 3, "−∞"),
        (math.nan, 3, "–"),
        (None, 3, "–"),
    ],
)
def test_numbers_read_well(value: float | None, digits: int, shown: str) -> None:
    assert text.number(value, digits) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_is_the_number_to_its_digits(value: float) -> None:
    shown = text.number(value, 6).replace("−", "-").replace(",", "")
    power = re.search(r"(?:^(-?)|(.*) × )10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)$", shown)
    if power:
        exponent = power[3].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        shown = f"{power[2] or f'{power[1]}1'}e{exponent}"
    assert float(shown) == pytest.approx(value, rel=1e-5, abs=0.0)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((None, 0.5), "below 0.5"),
        ((0.9, None), "above 0.9"),
        ((0.97, 1.03), "between 0.97 and 1.03"),
        ((0.999999, 1.000001), "1 ± 10⁻⁶"),
        ((-0.02, 0.02), "between −0.02 and 0.02"),
        ((0.0, 2.0), "between 0 and 2"),
    ],
)
def test_regions_in_words(ends: tuple[float | None, float | None], words: str) -> None:
    assert text.region(ends) == words


@pytest.mark.parametrize(
    ("ends", "words"), [((None, 0.5), "at most 0.5"), ((0.9, None), "at least 0.9"), ((0, 2), "0 to 2"), ((1, 1), "1")]
)
def test_the_ends_of_a_fact_belong_to_its_region(ends: tuple[float | None, float | None], words: str) -> None:
    assert text.region(ends, closed=True) == words


def test_an_estimate_has_two_digits_of_its_interval() -> None:
    assert text.estimate(0.123456, 0.1111, 0.1351) == "0.123"
    assert text.interval(0.1111, 0.1351) == "[0.111, 0.135]"
    assert text.estimate(12.3456, 8.0, 16.0) == "12.3"
    assert text.interval(1.0, 1.0) == ""
    assert text.estimate(1.0, 1.0, 1.0) == "1"
    assert text.estimate(math.inf, None, None) == "∞"


def to_plain(markdown: str, *options: str) -> str:
    command = [pypandoc.get_pandoc_path(), f"--from={convert.READER}", "--to=plain", "--wrap=none", *options]
    return subprocess.run(command, input=markdown, capture_output=True, text=True, check=True).stdout.strip()


def test_escaped_text_renders_as_written() -> None:
    lines = [
        "<script>alert(1)</script> &amp; <!-- -->",
        "# 1. - * > | ~~~ ``` ::: {.x} [a](b) ![c](d) $x$ $$ @y [^1] \\alpha ^a^ ~b~ ... --- 'q' \"r\"",
        '#include("x") #import <label> \\ // /* */ @ref = - + / *b* _i_',
        "trailing \\",
    ]
    for line in lines:
        assert to_plain(text.escape(line)) == line
        assert to_plain(text.inline(line.replace("$x$", "$ x"))) == line.replace("$x$", "$ x").replace("```", "```")


def test_mathematics_and_code_are_kept() -> None:
    assert text.inline("a_b $x_1$ `c_d`") == r"a\_b $x_1$ `c_d`"
    assert text.inline("5$ or $6") == r"5\$ or \$6"
    assert text.inline("$}{$") == r"\$\}\{\$"


def test_links_are_made_of_arxiv_numbers_and_dois() -> None:
    shown = text.citation("Hinton 2015. arXiv:1503.02531, doi:10.1000/xyz-1.")
    assert "[arXiv\\:1503\\.02531](https://arxiv.org/abs/1503.02531)" in shown
    assert "](https://doi.org/10.1000/xyz-1)" in shown


def test_the_same_work_is_known_by_its_number_or_its_words() -> None:
    assert text.work("Hinton 2015. arXiv:1503.02531") == text.work(
        "G. Hinton et al., NeurIPS workshop, arXiv:1503.02531."
    )
    assert text.work("Glorot, Bengio 2010. Title") == text.work("Glorot & Bengio 2010, title.")
    assert text.work("Glorot 2010") != text.work("Glorot 2011")


def test_a_fence_is_longer_than_any_inside() -> None:
    assert text.block("a\n`````\nb").startswith("`````` {.study-text}\n")


def test_notes_are_filled_in() -> None:
    filled = text.notes("It is {{ estimate('a') }}.", {"estimate": lambda name: f"<{name}>"}, "notes.md")
    assert filled == "It is <a>."


@pytest.mark.parametrize(
    "notes", ["{{ estimate('a' }}", "{{ nothing }}", "{% for %}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}"]
)
def test_broken_notes_are_one_clear_line(notes: str) -> None:
    with pytest.raises(ClaimcheckError, match=r"coins/notes.md: notes cannot be filled in"):
        text.notes(notes, {"estimate": str}, "coins/notes.md")


def test_an_unknown_id_in_the_notes_is_named_with_the_nearest() -> None:
    with pytest.raises(ClaimcheckError, match=r"slope-matches.*did you mean 'slope-match'"):
        text.known({"slope-match": 1, "other": 2}, "slope-matches", "notes.md", "prediction")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((2.2795592420641055, 2.3256109439239863), "between 2.28 and 2.326"),
        ((1.50031, None), "above 1.5"),
        ((31.6228, 31.6228), "31.6228"),
    ],
)
def test_a_region_claims_no_more_than_four_digits_but_of_a_point(ends: tuple[float, float | None], words: str) -> None:
    assert text.region(ends) == words


def test_an_interval_has_like_digits_and_no_more_than_four() -> None:
    assert text.interval(-0.0040, 6.251e-5) == "[−0.0040, 0.0001]"
    assert text.interval(2.2712345, 2.2812345) == "[2.271, 2.281]"
    assert text.interval(1.00001, 1.00002) == "[1.000010, 1.000020]", "as many as tell its ends apart"
    assert text.interval(2e-9, 5e-9) == "[2 × 10⁻⁹, 5 × 10⁻⁹]"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("above 1", "above 1 point of error"),
        ("above 2", "above 2 points of error"),
        ("1", "1 point of error"),
        ("between 0 and 1", "between 0 and 1 points of error"),
    ],
)
def test_a_lone_one_has_its_unit_in_the_singular(words: str, said: str) -> None:
    assert text.with_unit(words, "points of error") == said


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("share of examples", "share of examples above 0.9"),
        ("ratio", "ratio above 0.9"),
        ("of the peak learning rate", "above 0.9 of the peak learning rate"),
        ("nats a symbol", "above 0.9 nats a symbol"),
        ("times as many", "above 0.9 times as many"),
        ("spikes, all of them", "above 0.9 spikes, all of them"),
        ("share, less a fifth", "above 0.9 (share, less a fifth)"),
        ("1 where so", "above 0.9 (1 where so)"),
        ("", "above 0.9"),
    ],
)
def test_a_unit_that_is_counted_follows_and_one_that_names_the_number_stands_in_front(unit: str, said: str) -> None:
    assert text.with_unit("above 0.9", unit) == said
