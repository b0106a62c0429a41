"""Malformed studies, configurations, records, verdicts, archives: one line that names file and cause, nothing lost.

Every case harms one thing in a small finished project, gives one command, and looks at what a user would see: the exit
status, one line on standard error, no traceback, and every file that was not harmed still there, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from claimcheck.files import sha256
from claimcheck.results import records as recording
from claimcheck.results.seals import sealed

STUDIES = Path(__file__).parent / "end_to_end" / "studies"
COIN = "results/smoke/coin"
SPEC, CODE, LECTURE = "studies/coin/study.yaml", "studies/coin/runs.py", "studies/lecture.yaml"
NOTES = "studies/coin/notes.md"
REGISTRATIONS = "studies/coin/registrations.yaml"
STORE = "results/smoke/.store/coin"
PART, RECORDS = f"{COIN}/parts/tosses-*.records.parquet", f"{STORE}/records-*.parquet"
PROVENANCE, VERDICTS, CONTROLS = f"{STORE}/provenance-*.json", f"{STORE}/verdicts-*.json", f"{STORE}/controls-*.json"
FIGURE, LIST = f"{STORE}/figures-*/shares.svg", f"{STORE}/figures-*/checksums.json"


@pytest.fixture(scope="session")
def finished(tmp_path_factory, status_of):
    """A project with the toy studies, of which `coin` was run, judged, drawn and reported at smoke scale."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(STUDIES, folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for step in ("run coin", "judge coin", "plot coin", "report"):
            assert status_of(*step.split(), "--scale", "smoke") == 0, step
    return folder


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    """A copy of the finished project to harm; the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    return folder


def _contents(folder: Path) -> dict[str, str]:
    """Checksum of every file below the folder, code that Python compiled and locks aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".lock", ".pyc")
    }


def _paths(folder: Path) -> list[Path]:
    """Every file and folder below the folder, code that Python compiled aside."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


# -------------------------------------------------------------------------------------------------- ways to do harm


def one(folder, name):
    """The one file of that name, in which a star stands for a digest."""
    found = sorted(folder.glob(name))
    assert len(found) == 1, (name, found)
    return found[0]


def write(name, text):
    """The file holds `text` (or bytes)."""

    def harm(folder):
        path = one(folder, name) if "*" in name else folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return harm


def replace(name, old, new):
    """`old` in the file becomes `new`."""

    def harm(folder):
        path = one(folder, name)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return harm


def remove(name):
    """The file is gone."""
    return lambda folder: one(folder, name).unlink()


def cut(name, share):
    """Only the first `share` of the file is left."""

    def harm(folder):
        path = one(folder, name)
        raw = path.read_bytes()
        path.write_bytes(raw[: int(share * len(raw))])

    return harm


def flip(name, share=0.5):
    """One bit of the file is flipped."""

    def harm(folder):
        path = one(folder, name)
        raw = bytearray(path.read_bytes())
        raw[int(share * len(raw))] ^= 1
        path.write_bytes(raw)

    return harm


def rows(change):
    """The records are changed, and their noted checksum with them: only their content is wrong."""

    def harm(folder):
        path = one(folder, RECORDS)
        recording.write(path, change(recording.read(path)))
        forge(PROVENANCE, lambda facts: facts["files"].update({"records.parquet": sha256(path)}))(folder)

    return harm


def forge(name, change):
    """A sealed JSON file is changed, and its seal with it."""

    def harm(folder):
        path = one(folder, name)
        value = json.loads(path.read_text())
        value.pop("checksum")
        change(value)
        path.write_text(json.dumps(sealed(value)))

    return harm


def edit(name, change):
    """A JSON file is edited by hand."""

    def harm(folder):
        path = one(folder, name)
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return harm


def elsewhere(harm):
    """The harm is done to a copy of the results in the folder `coin`, from which they are to be imported."""

    def copy(folder):
        shutil.copytree(folder / COIN, folder / "coin")
        harm(folder)

    return copy


JUDGE, RUN, REPORT = "judge coin --scale smoke", "run coin --scale smoke", "report --scale smoke"
IMPORT, VERIFY = "import coin --scale smoke", "verify results/smoke results/smoke"
CRATE, PUBLISH = "crate packed --scale smoke", "publish coin --scale smoke"

SPECS = {
    "spec is empty": (write(SPEC, ""), RUN, ["study.yaml", "not a mapping"]),
    "spec is not text": (write(SPEC, b"\xff\xfe\x00title"), RUN, ["study.yaml"]),
    "spec is cut off": (cut(SPEC, 0.55), RUN, ["study.yaml"]),
    "spec is nested past all reason": (write(SPEC, "a: " + "[" * 20_000), RUN, ["study.yaml"]),
    "spec runs code": (replace(SPEC, "title: A coin", "title: !!python/name:os.system"), RUN, ["study.yaml", "YAML"]),
    "tabs in the spec": (replace(SPEC, "      bias:", "\tbias:"), RUN, ["study.yaml", "YAML"]),
    "a key twice": (
        replace(SPEC, "title: A coin", "title: A coin\ntitle: B"), RUN, ["study.yaml", "'title' is given twice"],
    ),
    "a misspelt key": (replace(SPEC, "figures:", "figuers:"), RUN, ["figuers", "did you mean 'figures'"]),
    "a key is missing": (replace(SPEC, "title: A coin\n", ""), RUN, ["study.yaml: title", "missing"]),
    "NaN for a region": (replace(SPEC, "[0.4, 0.6]", "[.nan, 0.6]"), RUN, ["region"]),
    "an endless region": (replace(SPEC, "[0.4, 0.6]", "[-.inf, .inf]"), RUN, ["region"]),
    "one end for a region": (replace(SPEC, "[0.4, 0.6]", "[0.4]"), RUN, ["region"]),
    "a level that is not there": (replace(SPEC, "of: {bias: 0.5}", "of: {bias: 0.6}"), RUN, ["half.measure", "0.6"]),
    "a measure without its part": (replace(SPEC, "        part: tosses\n", ""), RUN, ["half" , "part"]),
    "a misspelt statistic": (
        lambda folder: (replace(SPEC, "measure: {value: heads, of: {bias: 0.5}}", "statistic: haeds")(folder),
                        replace(SPEC, "{of: {bias: 0.7}", "{arguments: {bias: 0.7}")(folder)),
        RUN, ["haeds", "statistics.py"],
    ),
    "a misspelt part": (replace(SPEC, "part: tosses\n", "part: toses\n"), RUN, ["half.part", "'tosses'"]),
    "a part that extends nothing": (
        replace(SPEC, "    factors:", "    extends: throws\n    factors:"), RUN, ["parts.tosses", "throws"],
    ),
    "a scale is missing": (
        replace(SPEC, "  smoke: {seeds: 14, tosses: {tosses: 200}}\n", ""), RUN, ["scale", "smoke"],
    ),
    "a setting is missing": (replace(SPEC, "seconds: 0.0", "minutes: 0.0"), RUN, ["seconds"]),
    "a share of its own": (replace(SPEC, "[0.4, 0.6]", "[0.4, 0.6]\n        share: 0.8"), RUN, ["share", "0.5", "0.9"]),
    "a fact without a tolerance": (
        replace(SPEC, "[0.4, 0.6]", "[0.4, 0.6]\n        kind: fact"), RUN, ["predictions.0", "needs a tolerance"],
    ),
    "an unknown data set": (
        replace(SPEC, "[0.4, 0.6]", "[0.4, 0.6]\n        on: [dimes]"), RUN, ["half.on", "'dimes'"],
    ),
    "a control is missing": (
        replace(SPEC, "          never: {of: {bias: 0.7}, says: the bent coin}\n", ""), RUN, ["half.controls", "never"],
    ),
    "a huge number of seeds": (
        replace(SPEC, "smoke: {seeds: 14", "smoke: {seeds: 1e14"), RUN, ["scales.smoke.seeds", "at most 5000"],
    ),
    "registrations on one block": (
        write(REGISTRATIONS, "- {number: 1, date: 2026-01-31, first_seed: 100000, says: a, superseded: b}\n"
                             "- {number: 2, date: 2026-01-31, first_seed: 100001, says: a}"),
        RUN, ["registrations.yaml: 2.first_seed", "overlaps", "100001"],
    ),
    "a registration on the pilots' seeds": (
        write(REGISTRATIONS, "- {number: 1, date: 2026-01-31, first_seed: 10000, says: a}"), RUN, ["1.first_seed", "of pilots"],
    ),
    "a registration of another digest": (
        write(REGISTRATIONS, "- {number: 1, date: 2026-01-31, first_seed: 0, digest: '0123456789abcdef', says: a}"),
        JUDGE, ["registrations.yaml: 1.digest", "0123456789abcdef", "claimcheck register coin"],
    ),
    "notes that are not text": (write(NOTES, b"\xff\xfe\x00"), RUN, ["notes.md"]),
    "code with a syntax error": (write(CODE, "def run(:"), RUN, ["runs.py", "not valid Python"]),
    "code with a null byte": (write(CODE, b"x = 1\x00"), RUN, ["runs.py", "not valid Python"]),
    "code is missing": (remove(CODE), RUN, ["run_tosses", "runs.py"]),
    "code without the part's function": (replace(CODE, "run_tosses", "run_toses"), RUN, ["run_tosses", "run_toses"]),
    "code that fails": (
        replace(CODE, "    time.sleep", "    1 / 0\n    time.sleep"), RUN, ["runs.py", "ZeroDivisionError"],
    ),
    "an import that fails": (replace(CODE, "import time", "import timee as time"), RUN, ["runs.py", "timee"]),
    "code that returns nothing": (
        replace(CODE, "    return pd.DataFrame", "    pd.DataFrame"), RUN, ["runs.py", "DataFrame"],
    ),
    "code that loses runs": (replace(CODE, '"heads": shares})', '"heads": shares})[1:]'), RUN, ["coin", "1 runs"]),
    "lecture is missing": (remove(LECTURE), RUN, ["lecture.yaml", "no such file"]),
    "lecture is a list": (write(LECTURE, "- a"), RUN, ["lecture.yaml", "not a mapping"]),
    "lecture without the claim": (
        replace(LECTURE, "coin-is-fair", "coin-was-fair"), RUN, ["coin-is-fair", "coin-was-fair"],
    ),
}  # fmt: skip

RESULTS = {
    "records are gone": (remove(RECORDS), JUDGE, ["no records that fit", "claimcheck run coin"]),
    "records are empty": (write(RECORDS, b""), JUDGE, ["records-", "cut off or changed", "claimcheck run coin"]),
    "records are cut off": (cut(RECORDS, 0.7), JUDGE, ["records-", "cut off or changed"]),
    "a bit of the records is flipped": (flip(RECORDS), JUDGE, ["records-", "cut off or changed"]),
    "provenance is gone": (remove(PROVENANCE), JUDGE, ["provenance-", "no such file", "claimcheck run coin"]),
    "a part is cut off": (cut(PART, 0.7), "assemble coin --scale smoke", ["tosses-", "claimcheck run coin/tosses"]),
    "a part is gone": (remove(PART), "assemble coin --scale smoke", ["tosses-", "claimcheck run coin/tosses"]),
    "no rows": (rows(lambda r: r.iloc[:0]), JUDGE, ["records-", "coin has no rows"]),
    "a seed is missing": (rows(lambda r: r[r.seed != 3]), JUDGE, ["records", "seeds of study coin are missing"]),
    "a row twice": (rows(lambda r: pd.concat([r, r.iloc[3:4]])), JUDGE, ["records", "(run, index)", "bias=0.5:3"]),
    "a column is missing": (rows(lambda r: r.drop(columns="heads")), JUDGE, ["half.measure", "'heads'"]),
    "no status": (rows(lambda r: r.drop(columns="status")), JUDGE, ["records-", "'status'"]),
    "a metric in words": (rows(lambda r: r.assign(heads="many")), JUDGE, ["half.measure"]),
    "a part of another study": (rows(lambda r: r.assign(part="dice")), JUDGE, ["coin has no such part", "dice"]),
    "provenance is cut off": (cut(PROVENANCE, 0.5), JUDGE, ["provenance-", "not readable JSON"]),
    "provenance is a list": (write(PROVENANCE, "[]"), JUDGE, ["provenance-", "not a mapping"]),
    "provenance of another shape": (
        forge(PROVENANCE, lambda facts: facts.update(seeds={"tosses": "many"})), JUDGE, ["provenance-", "many"],
    ),
    "provenance is edited by hand": (
        edit(PROVENANCE, lambda facts: facts.update(seconds=98765.4)), JUDGE, ["provenance-", "changed after"],
    ),
    "a figure is edited by hand": (write(FIGURE, "<svg/>"), REPORT, ["shares.svg", "claimcheck plot coin"]),
    "a figure is cut off": (cut(FIGURE, 0.5), REPORT, ["shares.svg", "not the figure that was drawn"]),
    "a figure is gone": (remove(FIGURE), REPORT, ["shares.svg", "claimcheck plot coin"]),
    "the list of figures is edited": (edit(LIST, lambda kept: kept["files"].pop("shares.svg")), REPORT, ["checksums"]),
    "a figure is edited before packing": (write(FIGURE, "<svg/>"), CRATE, ["shares.svg", "claimcheck plot coin"]),
    "a verdict is edited by hand": (
        edit(VERDICTS, lambda entries: entries[0].update(verdict="contradicted")),
        PUBLISH, ["verdicts-", "half", "changed", "claimcheck judge coin"],
    ),
    "a number of a verdict is edited by hand": (
        edit(VERDICTS, lambda entries: entries[0]["tests"][0].update(k=13)), PUBLISH, ["verdicts-", "half", "changed"],
    ),
    "verdicts are cut off": (cut(VERDICTS, 0.5), PUBLISH, ["verdicts-", "not readable JSON"]),
    "verdicts are a number": (write(VERDICTS, "3"), PUBLISH, ["verdicts-", "not a list"]),
    "what came of the controls is cut off": (cut(CONTROLS, 0.4), PUBLISH, ["controls-", "not readable JSON"]),
    "what came of the controls is edited": (
        edit(CONTROLS, lambda found: found.update(passed=["half (never)"])), PUBLISH, ["controls-", "claimcheck judge coin"],
    ),
    "a published verdict is edited": (
        edit(f"{COIN}/verdicts.json", lambda entries: entries[0].update(verdict="mixed")),
        REPORT, ["verdicts.json", "changed after it was published", "claimcheck publish coin"],
    ),
    "an edited verdict is compared": (
        edit(f"{COIN}/verdicts.json", lambda entries: entries[0]["tests"][0].update(median=0.5)),
        VERIFY, ["verdicts.json", "half", "changed"],
    ),
    "published records are cut off": (
        cut(f"{COIN}/records.parquet", 0.5), REPORT, ["records.parquet", "claimcheck publish coin"],
    ),
    "a published figure is gone": (
        remove(f"{COIN}/figures/shares.svg"), REPORT, ["shares.svg", "claimcheck publish coin"],
    ),
    "notes that name nothing": (replace(NOTES, "estimate('half')", "estimate('hlaf')"), REPORT, [NOTES, "hlaf"]),
    "notes that are no template": (replace(NOTES, "{{ estimate('half') }}", "{{ estimate('half' }}"), REPORT, [NOTES]),
}  # fmt: skip

COPIES = {
    "a copy without parts": (elsewhere(lambda folder: shutil.rmtree(folder / "coin/parts")), IMPORT, ["no parts here"]),
    "a copy with half a part": (elsewhere(cut("coin/parts/*.parquet", 0.5)), IMPORT, ["tosses-", "copy it again"]),
    "a copy with a flipped bit": (elsewhere(flip("coin/parts/*.parquet", 0.05)), IMPORT, ["tosses-", "copy it again"]),
    "a copy of another scale": (elsewhere(lambda folder: None), "import coin --scale quick", ["smoke", "quick"]),
    "a copy of other code": (
        elsewhere(replace(CODE, "binomial(", "negative_binomial(")), IMPORT, ["tosses-", "runs.py (run_tosses"],
    ),
    "a copy that is no folder": (lambda folder: None, "import nowhere --study coin --scale smoke", ["nowhere"]),
    "trees that are not there": (lambda folder: None, "verify results/smoke elsewhere", ["no such folder"]),
    "a tree without results": (lambda folder: None, "verify results/smoke studies", ["studies", "no results"]),
}  # fmt: skip

WORDS = {
    "no such study": ("run cion", ["cion", "did you mean 'coin'"]),
    "another case of letters": ("run Coin", ["no such study", "did you mean 'coin'"]),
    "no such study to judge": ("judge COIN --scale smoke", ["did you mean 'coin'"]),
    "no such study to cost": ("cost cion --scale smoke", ["did you mean 'coin'"]),
    "no such study to ask about": ("why coyn --scale smoke", ["did you mean 'coin'"]),
    "no such study to import": ("import results/smoke/coin --study Coyn --scale smoke", ["did you mean 'coin'"]),
    "no such study in a report": ("report --study coin --study wlak --scale smoke", ["--study", "did you mean 'walk'"]),
    "no such study to publish": ("publish --report --study Coin --scale smoke", ["--study", "did you mean 'coin'"]),
    "a study outside the folder": ("run ../coin", ["studies/..", "no such study"]),
    "no such scale": ("run coin --scale huge", ["--scale", "huge", "quick"]),
    "no such command": ("jugde coin", ["jugde", "judge"]),
    "no such option": ("run coin --sacle smoke", ["--sacle"]),
    "no seeds": ("run coin --seeds 0", ["--seeds"]),
    "seeds in words": ("run coin --seeds many", ["--seeds", "integer"]),
    "no such device": ("run coin --scale smoke --device abacus", ["device", "abacus"]),
    "a report of a misspelt folder": (
        "report --scale smoke --results-dir resluts",
        ["resluts/smoke", "no results", "--results-dir"],
    ),
    "slides of another scale": ("slides --scale full", ["results/full", "no results at scale full"]),
    "too many shards": ("run coin/tosses --shard 1/9999", ["--shard", "512"]),
    "a nameless study to import": ("import results/smoke/coin --study= --scale smoke", ["no such study"]),
    "a shard beyond the last": ("run coin/tosses --shard 3/2", ["--shard", "3/2", "i/n"]),
    "no studies": ("list --studies-dir nowhere", ["nowhere"]),
    "more seeds than a block has": (f"run coin --seeds {10**14}", ["seeds", "100000000000000", "5000"]),
    "a draft on the pilots' seeds": ("judge coin --registration-offset 2", ["coin: registration_offset", "pilots"]),
    "controls of what was not run": ("controls coin --scale full", ["no records that fit", "claimcheck run coin"]),
    "a registration of nothing": ("register coin", ["register", "--says TEXT"]),
    "nothing to replace": ("register coin --says X --superseded Y", ["registrations.yaml", "leave out --superseded"]),
    "a file for a folder": ("run coin --scale smoke --results-dir studies/lecture.yaml", ["lecture.yaml is there"]),
    "a file that nothing is pruned in": ("prune --results-dir studies/lecture.yaml", ["lecture.yaml is there"]),
    "cost of a study that is not there": ("cost coin coyn --scale smoke", ["coyn: no such study"]),
    "no such data set": ("data fetch mnits", ["mnits", "did you mean 'mnist'"]),
    "shards that were not run": (
        "merge coin/tosses --shards 2 --scale smoke", ["1-of-2", "run coin/tosses --scale smoke --shard 1/2"],
    ),
    "shards of no part": ("merge coin --shards 2 --scale smoke", ["STUDY/PART"]),
    "no such part": ("run coin/toses", ["toses", "did you mean 'tosses'"]),
    "a digest of no part": ("run coin --digest 123", ["--digest", "123", "STUDY/PART"]),
    "counts with words": ("register coin --counts --says X", ["--says", "--counts"]),
    "a study to publish and another": ("publish coin --study walk --scale smoke", ["--study", "walk", "--report"]),
    "a name that is no name": ("new Coin-2", ["Coin-2", "lower-case"]),
    "a name that is taken": ("new coin", ["coin"]),
}  # fmt: skip

CASES = {
    **SPECS,
    **RESULTS,
    **COPIES,
    **{name: (lambda folder: None, words, pieces) for name, (words, pieces) in WORDS.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_malformed_input_is_one_line_and_nothing_is_lost(project, status_of, capsys, name):
    harm, words, pieces = CASES[name]
    harm(project)
    before, paths = _contents(project), _paths(project)
    status = status_of(*words.split())
    shown = capsys.readouterr().err
    assert status != 0
    faults = [line for line in shown.splitlines() if line.startswith("claimcheck: ")]
    assert len(faults) == 1, shown
    assert shown.splitlines()[-1] == faults[0], shown
    assert "Traceback" not in shown
    for piece in pieces:
        assert piece in faults[0]
    after = _contents(project)
    assert {path: after.get(path) for path in before} == before
    if name in WORDS:
        assert status == 2
        assert shown == f"{faults[0]}\n"
        assert _paths(project) == paths
