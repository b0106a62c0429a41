"""Results that were changed by hand or by a failing disk are found before anything is made of them."""

from __future__ import annotations

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, sha256, write_json
from claimcheck.results.seals import FIGURES, check_results, read_provenance, read_sealed, sealed, write_figure_list
from claimcheck.judging.judge import judge

FACTS = {
    "study": "planted",
    "seconds": 3,
    "seeds": {"main": 16},
    "ingredients": {"design": "0a"},
    "files": {},
    "git": {"commit": None, "dirty": None},
    "machine": {"cores": 2, "memory_gib": 7.5, "accelerator": None},
    "ensembles": [
        {"name": "main", "runs": 32, "seconds": 1.5, "cpu_seconds": 1.0, "peak_memory_mib": 300.0, "eager": True}
    ],
    "shards": 2,
}


@pytest.fixture
def results(plant, run_planted):
    """The planted study's results with provenance, verdicts, null run and calibration: whole."""
    study = plant()
    folder = run_planted(study)
    write_json(folder / "quick" / "planted" / "provenance.json", sealed(FACTS))
    judge(study, "quick", folder)
    write_json(folder / "quick" / "calibration.json", sealed({"n": 16, "rates": [0.05, float("inf")]}))
    return folder


def test_whole_results_pass(results):
    check_results(results, "quick")
    check_results(results, "full")


def test_what_was_sealed_comes_back(tmp_path):
    value = {"b": [1.5, None, "x"], "a": {"c": 1e-17}}
    write_json(tmp_path / "sealed.json", sealed(value))
    assert read_sealed(tmp_path / "sealed.json") == value


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("calibration.json", lambda value: value.update(n=17)),
        ("calibration.json", lambda value: value.pop("rates")),
        ("calibration.json", lambda value: value.pop("checksum")),
        ("planted/shuffled.json", lambda value: value.update(supported=0)),
        ("planted/shuffled.json", lambda value: value["verdicts"].pop()),
        ("planted/verdicts.json", lambda value: value[0].update(p=0.5)),
        ("planted/provenance.json", lambda value: value.update(seeds={"main": "many"})),
        ("planted/provenance.json", lambda value: value.update(files=[])),
        ("planted/provenance.json", lambda value: value.update(ingredients=None)),
        ("planted/provenance.json", lambda value: value["ensembles"].append({})),
        ("planted/provenance.json", lambda value: value["machine"].update(cores=[2])),
        ("planted/provenance.json", lambda value: value["seeds"].update(main=17)),
        ("planted/provenance.json", lambda value: value.update(seconds=1)),
        ("planted/provenance.json", lambda value: value.pop("checksum")),
    ],
)
def test_what_was_changed_is_named_in_one_line(results, name, change):
    path = results / "quick" / name
    value = read_json(path)
    change(value)
    write_json(path, value)
    with pytest.raises(ClaimcheckError) as raised:
        check_results(results, "quick")
    assert name.split("/")[-1] in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"n": 1', "null"])
def test_what_is_no_json_object_is_told(results, text):
    for name in ("calibration.json", "planted/provenance.json"):
        path = results / "quick" / name
        before = path.read_text()
        path.write_text(text)
        with pytest.raises(ClaimcheckError, match=path.name):
            check_results(results, "quick")
        path.write_text(before)


def test_no_provenance_is_an_empty_one(tmp_path):
    assert read_provenance(tmp_path / "provenance.json") == {}
    with pytest.raises(ClaimcheckError, match="no such file"):
        read_provenance(tmp_path / "provenance.json", required=("files",))
    write_json(tmp_path / "provenance.json", {"seeds": {}})
    with pytest.raises(ClaimcheckError, match=r"provenance\.json: this key is missing; found 'files'"):
        read_provenance(tmp_path / "provenance.json", required=("seeds", "files"))


@pytest.fixture
def figures(results):
    """The planted study's figures: two files and their checksums."""
    folder = results / "quick" / "planted" / "figures"
    folder.mkdir()
    for name in ("arms.svg", "arms.png"):
        (folder / name).write_bytes(name.encode() * 100)
    write_figure_list(folder, sorted(folder.iterdir()), sha256(folder.parent / "records.parquet"))
    check_results(results, "quick")
    return folder


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda folder: (folder / "arms.svg").write_text("another picture"), "arms.svg"),
        (lambda folder: (folder / "arms.svg").write_bytes((folder / "arms.svg").read_bytes()[:-9]), "arms.svg"),
        (lambda folder: (folder / "arms.png").unlink(), "arms.png"),
        (lambda folder: (folder / "more.svg").write_text("a picture from elsewhere"), "more.svg"),
        (lambda folder: (folder / FIGURES).unlink(), FIGURES),
        (lambda folder: (folder / FIGURES).write_text("{"), FIGURES),
        (lambda folder: write_json(folder / FIGURES, sealed({"files": ["arms.svg"]})), FIGURES),
        (lambda folder: write_figure_list(folder, sorted(folder.glob("arms.*")), "0" * 64), "other records"),
    ],
)
def test_a_figure_that_plot_did_not_draw_is_named_in_one_line(results, figures, harm, named):
    harm(figures)
    with pytest.raises(ClaimcheckError) as raised:
        check_results(results, "quick")
    assert named in str(raised.value)
    assert "claimcheck plot planted" in str(raised.value)
    assert "\n" not in str(raised.value)
