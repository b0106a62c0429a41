"""Results that were changed by hand or by a failing disk are found before anything is made of them."""

from __future__ import annotations

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.results.seals import FIGURES, figure_files, read_sealed, sealed, write_figure_list


@pytest.fixture
def finished(locate, make):
    """The coin's results, whole."""
    return make(locate("coin"))


def test_whole_results_are_read(finished):
    assert finished.read_provenance().study == "coin"
    assert finished.read_verdicts()[0]["prediction"] == "half"
    assert finished.read_controls()["passed"] == []
    assert [path.name for path in finished.figure_files()] == ["shares.svg", "shares.csv", "shares.png"]
    assert len(finished.read_records()) == 28


def test_what_was_sealed_comes_back(tmp_path):
    value = {"b": [1.5, None, "x"], "a": {"c": 1e-17}}
    write_json(tmp_path / "sealed.json", sealed(value))
    assert read_sealed(tmp_path / "sealed.json", "remedy") == value


CHANGES = {
    "how many controls were asked": ("controls", lambda value: value.update(asked=7), "judge"),
    "a control that passed": ("controls", lambda value: value["passed"].append("half (never)"), "judge"),
    "the controls' checksum": ("controls", lambda value: value.pop("checksum"), "judge"),
    "a p-value": ("verdicts", lambda value: value[0]["tests"][0].update(p=0.5), "judge"),
    "a control's verdict": (
        "verdicts",
        lambda value: value[0]["tests"][0]["controls"]["never"].update(passed=True),
        "judge",
    ),
    "which registration it is of": ("verdicts", lambda value: value[0]["registration"].update(number=1), "judge"),
    "the number of seeds": ("provenance", lambda value: value["seeds"].update(tosses=17), "run"),
    "the time": ("provenance", lambda value: value.update(seconds=1), "run"),
    "an ingredient": ("provenance", lambda value: value["parts"]["tosses"]["ingredients"].update(torch="0"), "run"),
    "the provenance's checksum": ("provenance", lambda value: value.pop("checksum"), "run"),
}


def _read(results):
    """Everything that the report reads."""
    return (
        results.read_provenance(),
        results.read_records(),
        results.read_verdicts(),
        results.read_controls(),
        results.figure_files(),
    )


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_named_in_one_line_with_the_command_that_makes_it_again(finished, name):
    what, change, step = CHANGES[name]
    path = getattr(finished, what)
    value = read_json(path)
    change(value)
    write_json(path, value)
    with pytest.raises(ClaimcheckError, match=f"make it again: claimcheck {step} coin --scale smoke") as raised:
        _read(finished)
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"n": 1', "null"])
@pytest.mark.parametrize("what", ["controls", "provenance"])
def test_what_is_no_json_object_is_told(finished, text, what):
    getattr(finished, what).write_text(text)
    with pytest.raises(ClaimcheckError, match=f"{getattr(finished, what).name}.*make it again: claimcheck"):
        _read(finished)


HARM = {
    "another picture": (lambda folder: (folder / "shares.svg").write_text("another picture"), "shares.svg"),
    "a picture cut off": (
        lambda folder: (folder / "shares.svg").write_bytes((folder / "shares.svg").read_bytes()[:-9]), "shares.svg",
    ),
    "a picture that is gone": (lambda folder: (folder / "shares.png").unlink(), "shares.png"),
    "no list": (lambda folder: (folder / FIGURES).unlink(), FIGURES),
    "half a list": (lambda folder: (folder / FIGURES).write_text("{"), FIGURES),
    "a list of names alone": (
        lambda folder: write_json(folder / FIGURES, sealed({"files": ["shares.svg"]})), FIGURES,
    ),
    "a list that leads outside": (
        lambda folder: write_json(folder / FIGURES, sealed({"files": {"../figures.svg": "0"}})), "figures.svg",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HARM)
def test_a_figure_that_plot_did_not_draw_is_named_in_one_line(finished, name):
    harm, named = HARM[name]
    harm(finished.figures)
    with pytest.raises(ClaimcheckError, match="claimcheck plot coin --scale smoke") as raised:
        _read(finished)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_pictures_of_ones_own_among_the_figures_are_none_of_ours(tmp_path):
    for name in ("arms.svg", "mine.svg"):
        (tmp_path / name).write_text(name)
    write_figure_list(tmp_path, [tmp_path / "arms.svg"], "0")
    assert figure_files(tmp_path, "remedy") == [tmp_path / "arms.svg"]
