"""`claimcheck import`: parts made on another machine are taken over whole, of this design and code, or not at all."""

from __future__ import annotations

from importlib import metadata

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results import records as recording
from claimcheck.results.importing import import_parts
from claimcheck.results.provenance import PartFacts
from claimcheck.results.state import Machine

FARTHER = ("walk/study.yaml", "walks: {steps: 200}", "walks: {steps: 300}")


@pytest.fixture
def elsewhere(locate, make, tmp_path):
    """The walk's results of another machine."""
    return make(locate("walk", results_dir=tmp_path / "elsewhere"), "run").view


def test_whole_parts_are_taken_over_with_their_provenance(elsewhere, locate):
    assert import_parts(elsewhere, locate("walk")) == ["part aimed taken over", "part walks taken over"]
    walk = locate("walk")
    assert walk.missing_parts() == []
    for name, files in walk.parts.items():
        theirs = recording.read_sealed(elsewhere / "parts" / files.records.name, "")
        ours = recording.read_sealed(files.records, "")
        assert ours[0].equals(theirs[0])
        assert ours[1] == {**theirs[1], "imported_as": files.digest}, name


def test_what_is_made_of_them_is_what_their_machine_would_make(elsewhere, locate, make, tmp_path):
    import_parts(elsewhere, locate("walk"))
    ours = make(locate("walk"), "assemble")
    theirs = make(locate("walk", results_dir=tmp_path / "elsewhere"), "assemble")
    assert ours.records.name == theirs.records.name
    assert ours.records.read_bytes() == theirs.records.read_bytes()


def test_parts_of_another_version_of_torch_are_taken_over_under_the_present_digest_and_told(
    locate, make, tmp_path, monkeypatch
):
    true = metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", lambda name: "1.0.0" if name == "torch" else true(name))
        theirs = make(locate("coin", results_dir=tmp_path / "elsewhere"), "run")
    coin = locate("coin")
    assert coin.parts["tosses"].digest != theirs.parts["tosses"].digest
    assert import_parts(theirs.view, coin) == ["part tosses taken over; made with torch 1.0.0"]
    coin = make(locate("coin"), "assemble", "judge")
    assert coin.missing_parts() == []
    facts = coin.read_provenance().parts["tosses"]
    assert facts.versions["torch"] == "1.0.0"
    assert facts.digest == theirs.parts["tosses"].digest
    assert facts.ingredients["torch"] == "1.0.0"


def test_data_made_by_another_version_of_their_package_are_told(locate, make, tmp_path, monkeypatch, edit):
    edit("coin", lambda raw: raw["parts"]["tosses"]["settings"].update(data="mnist1d"))
    true = metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", lambda name: "0.0.1" if name == "mnist1d" else true(name))
        theirs = make(locate("coin", results_dir=tmp_path / "elsewhere"), "run")
    (remark,) = import_parts(theirs.view, locate("coin"))
    assert remark.startswith("part tosses taken over; made with data mnist1d ")


def _first(folder, kind="records", part="walks"):
    return next((folder / "parts").glob(f"{part}-*.{kind}.parquet"))


def _cut(path):
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])


def _edit(path, column, value):
    frame, facts = recording.read_sealed(path, "")
    recording.write(path, frame.assign(**{column: value}), {"facts": "{}", "checksum": "0"})
    assert facts


def _copied(source, target):
    target.write_bytes(source.read_bytes())


def _renamed(folder, part, digest="0123456789abcdef"):
    for kind in ("records", "tuning"):
        path = _first(folder, kind, part)
        path.rename(path.with_name(f"{part}-{digest}.{kind}.parquet"))


HARM = {
    "records cut off": (lambda folder: _cut(_first(folder)), "was cut off or changed after it was written; copy it again$"),
    "records edited": (lambda folder: _edit(_first(folder), "end", 0.0), "was cut off or changed"),
    "a pilots' table cut off": (lambda folder: _cut(_first(folder, "tuning", "aimed")), "was cut off or changed"),
    "a pilots' table that is gone": (lambda folder: _first(folder, "tuning", "aimed").unlink(), "no such file; copy it again$"),
    "another part's records in the place of a pilots' table": (
        lambda folder: _copied(_first(folder), _first(folder, "tuning", "aimed")),
        r"tuning\.parquet: is not of this part; found 'walks'; expected aimed",
    ),
    "a part under another digest": (lambda folder: _renamed(folder, "aimed"), "is of another digest than its name says"),
    "no records": (lambda folder: [path.unlink() for path in (folder / "parts").iterdir()], "no parts here"),
}  # fmt: skip


@pytest.mark.parametrize("name", HARM)
def test_damaged_parts_are_refused_and_nothing_is_written(elsewhere, locate, config, name):
    harm, words = HARM[name]
    harm(elsewhere)
    with pytest.raises(ClaimcheckError, match=words) as raised:
        import_parts(elsewhere, locate("walk"))
    assert "\n" not in str(raised.value)
    assert not config.results_dir.exists()


OTHERS = {
    "another design": (FARTHER, r"other code or another design \(design\)"),
    "other code": (("walk/runs.py", "+ drift).sum()", "+ 2 * drift).sum()"), r"\(runs\.py \(run_walks and what it"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_parts_of_another_design_or_other_code_are_refused(elsewhere, locate, change, config, name):
    alter, words = OTHERS[name]
    change(*alter)
    with pytest.raises(ClaimcheckError, match=words):
        import_parts(elsewhere, locate("walk"))
    assert not config.results_dir.exists()


def test_a_pilots_table_of_another_design_is_refused(elsewhere, locate, make, edit, config, tmp_path):
    ours = locate("walk")
    edit("walk", lambda raw: raw["parts"]["aimed"]["settings"].update(steps=60))
    other = make(locate("walk", results_dir=tmp_path / "other"), "run").parts["aimed"].tuning
    _copied(other, _first(elsewhere, "tuning", "aimed"))
    with pytest.raises(ClaimcheckError, match=r"tuning\.parquet: is of another digest than its name says"):
        import_parts(elsewhere, ours)
    assert not config.results_dir.exists()


def test_parts_of_another_study_or_scale_are_refused(elsewhere, locate, studies, change, config):
    with pytest.raises(ClaimcheckError, match="is not of this scale; found 'smoke'; expected quick"):
        import_parts(elsewhere, locate("walk", scale="quick"))
    (studies / "walk").rename(studies / "stroll")
    change("lecture.yaml", "study: walk", "study: stroll")
    with pytest.raises(ClaimcheckError, match="is not of this study; found 'walk'; expected stroll"):
        import_parts(elsewhere, locate("stroll"))
    assert not config.results_dir.exists()


def test_an_older_version_of_a_part_beside_the_right_one_does_no_harm(locate, make, change, tmp_path):
    make(locate("walk", results_dir=tmp_path / "elsewhere"), "run")
    change(*FARTHER)
    theirs = make(locate("walk", results_dir=tmp_path / "elsewhere"), "run")
    import_parts(theirs.view, locate("walk"))
    assert locate("walk").missing_parts() == []


def test_a_part_that_this_machine_cannot_run_is_taken_over(locate, make, edit, tmp_path):
    edit("walk", lambda raw: raw["parts"]["aimed"].update(needs_gpu=True))
    theirs = make(locate("walk", Machine(gpu=True), results_dir=tmp_path / "elsewhere"), "run")
    assert "aimed" in locate("walk").not_run
    import_parts(theirs.view, locate("walk"))
    assert locate("walk").missing_parts() == []
    assert "aimed" in locate("walk").parts


def test_a_folder_whose_parts_are_all_strangers_is_refused(elsewhere, locate, config):
    for path in list((elsewhere / "parts").iterdir()):
        path.rename(path.with_name(f"un{path.name}"))
    with pytest.raises(
        ClaimcheckError, match=r"no part here is one of study walk.*'unaimed, unwalks'; expected one of wa"
    ):
        import_parts(elsewhere, locate("walk"))
    assert not config.results_dir.exists()


def test_a_part_under_the_name_of_another_is_refused(elsewhere, locate, config):
    _first(elsewhere, part="aimed").unlink()
    path = _first(elsewhere)
    path.rename(path.with_name(path.name.replace("walks", "aimed")))
    with pytest.raises(ClaimcheckError, match="is not of this part; found 'walks'; expected aimed"):
        import_parts(elsewhere, locate("walk"))
    assert not config.results_dir.exists()


REQUIRED = [name for name, field in PartFacts.model_fields.items() if field.is_required()]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("kind", ["records", "tuning"])
def test_sealed_parts_that_lack_a_fact_are_refused_by_import_and_by_those_who_read_them(
    elsewhere, locate, make, config, name, kind
):
    import_parts(elsewhere, locate("walk"))
    for folder, act in ((elsewhere, import_parts), (locate("walk").view, lambda _, walk: make(walk, "assemble"))):
        if kind == "tuning" and act is not import_parts:
            continue  # a table's own facts are read where it is made or imported
        before = {path: path.read_bytes() for path in config.results_dir.rglob("*.parquet")}
        path = _first(folder, kind, "aimed")
        frame, facts = recording.read_sealed(path, "")
        recording.write_sealed(path, frame, {key: value for key, value in facts.items() if key != name})
        harmed = path.read_bytes()
        with pytest.raises(ClaimcheckError, match=rf"{name}.*strange shape|strange shape.*{name}") as raised:
            act(elsewhere, locate("walk"))
        assert "\n" not in str(raised.value)
        after = {path: path.read_bytes() for path in config.results_dir.rglob("*.parquet")}
        assert after == (before | {path: harmed} if path in before else before)


def test_a_folder_without_parts_is_told(locate, tmp_path):
    with pytest.raises(ClaimcheckError, match=r"no parts here.*PART-DIGEST\.records\.parquet"):
        import_parts(tmp_path / "nowhere", locate("walk"))
