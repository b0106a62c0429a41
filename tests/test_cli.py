"""The command as a user meets it: in a process of its own, from words on the command line to exit status."""

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

REPOSITORY = Path(__file__).parents[1]


def test_as_a_process_of_its_own(studies, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "claimcheck", "run", "coni"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean 'coin'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_who_hangs_up_ends_it_quietly(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    words = [sys.executable, "-m", "claimcheck", "list", "--studies-dir", str(REPOSITORY / "studies")]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


def test_a_broken_connection_does_not_end_the_process(command):
    """A socket whose other end is closed raises, as ever, after the command was called in this process."""
    command("list")
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        ours.send(b"x")
    ours.close()


def test_a_new_study_runs_is_judged_and_drawn_at_once(command, tmp_path):
    assert command("new", "my_study")[0] == 0
    for step in ("run", "judge", "plot"):
        status, output, errors = command(step, "my_study", "--scale", "smoke")
        assert status == 0, errors
    folder = tmp_path / "results" / "smoke" / "my_study"
    (entry,) = json.loads((folder / "verdicts.json").read_text())
    assert (entry["verdict"], entry["tests"][0]["n"], entry["registration"]["number"]) == ("not run", 4, None)
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert drawn == {"error-by-width.svg", "error-by-width.csv", "error-by-width.png", "checksums.json"}
    status, output, _ = command("run", "my_study", "--scale", "smoke")
    assert "up to date" in output
    assert command("new", "my_study")[0] == 2


DAMAGE = {
    "the assembled records": (".store/coin/records-*.parquet", "judge", ["run"]),
    "their provenance": (".store/coin/provenance-*.json", "judge", ["run"]),
    "a part": ("coin/parts/*.records.parquet", "assemble", ["run", "assemble"]),
    "the verdicts": (".store/coin/verdicts-*.json", "publish", ["judge"]),
    "what came of the controls": (".store/coin/controls-*.json", "publish", ["judge"]),
    "a figure": (".store/coin/figures-*/shares.svg", "publish", ["plot", "publish"]),
    "a published file": ("coin/verdicts.json", "crate", ["publish"]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_command_that_an_error_names_makes_it_good(command, tmp_path, name):
    pattern, step, remedies = DAMAGE[name]
    for made in ("run", "judge", "plot"):
        assert command(made, "coin", "--scale", "smoke")[0] == 0
    (path,) = (tmp_path / "results" / "smoke").glob(pattern)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    words = {"crate": ("packed",)}.get(step, ("coin",))
    status, _, errors = command(step, *words, "--scale", "smoke")
    assert status == 2
    assert f"claimcheck {remedies[0]} coin" in errors
    for remedy in remedies:
        status, _, errors = command(remedy, "coin", "--scale", "smoke")
        assert status == 0, errors
    assert name == "a part" or path.read_bytes() == whole
    assert command("judge", "coin", "--scale", "smoke")[0] == 0


def test_what_is_not_run_is_judged_with_the_reason(command, edit):
    def with_a_part_for_cards(raw):
        raw["parts"]["cards"] = {"extends": "tosses", "needs_gpu": True}
        (claim,) = raw["claims"]
        claim["predictions"].append({**claim["predictions"][0], "id": "on-a-card", "part": "cards"})

    edit("coin", with_a_part_for_cards)
    for step in ("run", "judge"):
        status, output, errors = command(step, "coin", "--scale", "smoke", "--seeds", 4, "--device", "cpu")
        assert status == 0, errors
    told = " ".join(output.split())
    assert "not run (14 units or more can decide)" in told
    assert "not run (part cards: " in told
    assert "GPU" in told


def test_list_names_every_study_and_its_runs(command):
    status, output, _ = command("list")
    assert status == 0
    assert re.search(r"coin .* 1 +1 +28 +32 +64", output)


def test_why_says_what_would_be_made_and_when_nothing_would(command, studies):
    assert "part tosses: would run" in command("why", "coin", "--scale", "smoke")[1]
    for step in ("run", "judge", "plot"):
        assert command(step, "coin", "--scale", "smoke")[0] == 0
    lines = command("why", "coin", "--scale", "smoke")[1].splitlines()
    assert lines[:4] == ["parts: up to date", "assemble: up to date", "judge: up to date", "plot: up to date"]
    path = studies / "coin" / "study.yaml"
    path.write_text(path.read_text().replace("tosses: {tosses: 200}", "tosses: {tosses: 201}"))
    assert "part tosses: would run: design changed" in command("why", "coin", "--scale", "smoke")[1]


def test_a_part_can_be_run_alone_and_in_pieces(command, tmp_path):
    options = ("--scale", "smoke")
    assert command("run", "walk/walks", *options)[0] == 0
    folder = tmp_path / "results" / "smoke" / "walk"
    assert not (folder / "records.parquet").exists(), "its other part is not there"
    assert "choice in" in command("tune", "walk/aimed", *options)[1]
    for piece in ("1/2", "2/2"):
        status, _, errors = command("run", "walk/aimed", "--shard", piece, *options)
        assert status == 0, errors
    assert command("merge", "walk/aimed", "--shards", "2", *options)[0] == 0
    assert command("assemble", "walk", *options)[0] == 0
    assert command("run", "walk", "--results-dir", "uncut", *options)[0] == 0
    uncut = tmp_path / "uncut" / "smoke" / "walk"
    for name in ("records.parquet", "tuning.parquet"):
        assert (folder / name).read_bytes() == (uncut / name).read_bytes()


def test_the_view_may_be_kept_as_it_is_until_it_is_published(command, tmp_path):
    for step in ("run", "judge", "plot"):
        assert command(step, "coin", "--scale", "smoke", "--keep-view")[0] == 0
    folder = tmp_path / "results" / "smoke" / "coin"
    assert [path.name for path in folder.iterdir()] == ["parts"]
    status, output, _ = command("publish", "coin", "--scale", "smoke")
    assert status == 0
    assert {Path(line).name for line in output.split()} == {
        "records.parquet", "provenance.json", "verdicts.json", "controls.json",
        "shares.svg", "shares.csv", "shares.png", "checksums.json",
    }  # fmt: skip
    assert list(folder.glob(".view-*"))


def test_prune_says_what_it_removes_and_a_dry_run_removes_nothing(command, studies, tmp_path):
    assert command("run", "coin", "--scale", "smoke")[0] == 0
    path = studies / "coin" / "study.yaml"
    path.write_text(path.read_text().replace("tosses: {tosses: 200}", "tosses: {tosses: 201}"))
    assert command("run", "coin", "--scale", "smoke")[0] == 0
    parts = tmp_path / "results" / "smoke" / "coin" / "parts"
    assert "3 files and folders" in command("prune", "--scale", "smoke", "--dry-run")[1]
    assert len(list(parts.glob("*.records.parquet"))) == 2
    assert "removed" in command("prune", "--scale", "smoke")[1]
    assert len(list(parts.glob("*.records.parquet"))) == 1


def test_results_of_another_machine_are_taken_over_with_their_provenance(command, tmp_path):
    assert command("run", "coin", "--scale", "smoke", "--results-dir", "elsewhere")[0] == 0
    source = tmp_path / "elsewhere" / "smoke" / "coin"
    status, output, errors = command("import", source, "--scale", "smoke")
    assert status == 0, errors
    assert "coin: part tosses taken over" in output
    target = tmp_path / "results" / "smoke" / "coin"
    assert (target / "records.parquet").read_bytes() == (source / "records.parquet").read_bytes()
    ours, theirs = (
        json.loads((folder / "provenance.json").read_text())["parts"]["tosses"] for folder in (target, source)
    )
    assert ours.items() >= theirs.items()
    assert command("judge", "coin", "--scale", "smoke")[0] == 0


def test_an_import_says_what_is_still_missing(command, tmp_path):
    assert command("run", "walk/aimed", "--scale", "smoke", "--results-dir", "elsewhere")[0] == 0
    status, output, errors = command("import", tmp_path / "elsewhere" / "smoke" / "walk", "--scale", "smoke")
    assert status == 0, errors
    assert "missing still: walks" in output
    assert "claimcheck run walk --scale smoke" in output


def _part(folder):
    return next((folder / "parts").glob("*.records.parquet"))


@pytest.mark.parametrize(
    ("harm", "cause"),
    [
        (lambda folder, studies: _part(folder).write_bytes(b"PAR1"), "was cut off or changed"),
        (lambda folder, studies: _part(folder).unlink(), "no parts here"),
        (
            lambda folder, studies: (studies / "coin" / "study.yaml").write_text(
                (studies / "coin" / "study.yaml").read_text().replace("tosses: 200", "tosses: 201")
            ),
            "another design",
        ),
    ],
)
def test_foreign_results_that_are_not_whole_or_not_of_this_design_are_refused(command, tmp_path, studies, harm, cause):
    command("run", "coin", "--scale", "smoke", "--results-dir", "elsewhere")
    source = tmp_path / "elsewhere" / "smoke" / "coin"
    harm(source, studies)
    status, _, errors = command("import", source, "--scale", "smoke")
    assert status == 2
    assert cause in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (["run", "coin", "--registration-offset", "10"], ["registration_offset", "10"]),
        (["power", "coin", "--units", "100000000000000"], ["--units", "500"]),
        (["power", "walk", "--times", "stpes=2"], ["--times", "stpes", "did you mean 'steps'"]),
        (["power", "walk", "--times", "drift=2"], ["--times", "drift", "no part has this setting"]),
        (["power", "walk", "--times", "steps"], ["--times", "steps", "SETTING=FACTOR"]),
        (["power", "walk", "--times", "steps=0"], ["--times", "steps=0", "SETTING=FACTOR"]),
        (["power", "walk", "--times", "steps=2", "--times", "steps=3"], ["--times", "steps=3", "said twice"]),
        (["register", "coin", "--counts"], ["no such file", "claimcheck judge coin"]),
        (["run", "coin", "--shard", "1/2"], ["--shard", "STUDY/PART"]),
        (["tune", "coin/tosses"], ["coin", "tosses", "tunes nothing"]),
        (["tune", "coin"], ["coin", "STUDY/PART"]),
        (["publish"], ["publish", "name a study, or give --report"]),
        (["slides", "--claims", ","], ["--claims", "names nothing"]),
        (["run"], ["STUDY"]),
        (["judge", "coin", "--scale", "smoke"], ["coin", "run"]),
        (["plot", "coin", "--scale", "smoke"], ["coin", "run"]),
        (["run", "coin", "--studies-dir", "nowhere"], ["nowhere"]),
    ],
)
def test_wrong_words_are_one_line_and_write_nothing(command, tmp_path, words, pieces):
    before = sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts)
    status, _, errors = command(*words)
    assert status == 2
    assert len(errors.strip().splitlines()) == 1, errors
    for piece in pieces:
        assert piece in errors
    assert sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts) == before


def _verdicts(tmp_path):
    return json.loads((tmp_path / "results" / "smoke" / "coin" / "verdicts.json").read_text())


def test_controls_end_well_only_where_none_passes(command, studies):
    assert command("run", "coin", "--scale", "smoke")[0] == 0
    status, output, errors = command("controls", "coin", "--scale", "smoke")
    assert status == 0, errors
    assert re.search(r"half +never +the bent coin +contradicted +0 of 14 +as it must be", output)
    path = studies / "coin" / "study.yaml"
    path.write_text(path.read_text().replace("never: {of: {bias: 0.7}", "never: {of: {bias: [0.5]}"))
    status, output, _ = command("controls", "coin", "--scale", "smoke")
    assert status == 1
    assert re.search(r"half +never +the bent coin +supported +14 of 14 +PASSED, it must not", output)


@pytest.mark.parametrize(
    ("words", "told"),
    [(["new"], "claimcheck new"), (["data", "fetch"], "claimcheck data fetch"), (["nwe"], "claimcheck")],
)
def test_words_that_are_missing_lead_to_the_help_of_their_command(command, words, told):
    status, _, errors = command(*words)
    assert (status, errors.strip().endswith(f"; see {told} --help")) == (2, True), errors


def test_a_registered_study_is_judged_on_its_own_seeds_and_beside_them_on_fresh_ones(command, studies, tmp_path):
    assert "--says" in command("register", "coin")[2]
    assert command("register", "coin", "--says", "A coin.")[0] == 0
    status, _, errors = command("register", "coin", "--says", "Another.")
    assert (status, "registration 1 stands" in errors) == (2, True)
    for words, first in (((), 100_000), (("--registration-offset", "1"), 105_000)):
        for step in ("run", "judge"):
            status, _, errors = command(step, "coin", "--scale", "smoke", *words)
            assert status == 0, errors
        (entry,) = _verdicts(tmp_path)
        offset = bool(words)
        assert entry["registration"] == {"number": 1, "of": 1, "offset": offset, "first_seed": first, "seeds": None}
        assert entry["tests"][0]["seeds"] == list(range(first, first + 14))
    for step in ("run", "judge", "report"):
        assert command(step, *(["coin"] if step != "report" else []), "--scale", "smoke", "--seeds", "15")[0] == 0
    assert "in place of the registered number" in (tmp_path / "reports/smoke/report.html").read_text(encoding="utf-8")
    with (tmp_path / "results/smoke/verdicts.csv").open(encoding="utf-8") as table:
        assert {row["registration"] for row in csv.DictReader(table) if row["study"] == "coin"} == {""}
    before = (studies / "coin" / "registrations.yaml").read_text()
    status, _, errors = command("register", "coin", "--counts")
    assert (status, "no such file" in errors) == (2, True), "a trial run is not the judged one"
    assert (studies / "coin" / "registrations.yaml").read_text() == before
    for step in (("run",), ("judge",), ("register", "--counts")):
        status, _, errors = command(*step, "coin")
        assert status == 0, errors
    assert "verdicts:\n    supported: 1\n" in (studies / "coin" / "registrations.yaml").read_text()
    assert command("register", "coin", "--says", "Anew.", "--superseded", "It was wrong.")[0] == 0
    assert "first_seed: 150000" in (studies / "coin" / "registrations.yaml").read_text()


def test_what_changed_after_its_registration_is_run_but_not_judged(command, studies, tmp_path):
    assert command("register", "coin", "--says", "A coin.")[0] == 0
    path = studies / "coin" / "study.yaml"
    path.write_text(path.read_text().replace("[0.4, 0.6]", "[0.4, 0.7]"))
    assert command("run", "coin", "--scale", "smoke")[0] == 0
    status, _, errors = command("judge", "coin", "--scale", "smoke")
    assert status == 2
    assert "registrations.yaml: 1.digest" in errors
    assert "claimcheck register coin" in errors
    assert not (tmp_path / "results" / "smoke" / "coin" / "verdicts.json").exists()


def test_power_runs_pilots_of_its_own_and_judges_nothing(command, tmp_path):
    status, output, errors = command("power", "coin", "--units", "16", "--scale", "smoke")
    assert status == 0, errors
    assert re.search(r"half +16 of 16 +0\.5 +\d+ +\d+ s +14 +\d+%", output)
    folder = tmp_path / "results" / "smoke"
    assert not list(folder.rglob("verdicts*.json"))
    (part,) = (folder / "coin" / "parts").glob("*.records.parquet")
    assert pd.read_parquet(part)["seed"].min() == 20_000


@pytest.mark.parametrize("file", ["runs.py", "formats.py"])
def test_doctor_tells_a_broken_study(command, studies, file):
    (studies / "walk" / file).write_text("def run(:")
    status, output, _ = command("doctor")
    assert status == 1
    assert re.search(r"study walk +broken .*not valid Python", output)


def test_disk_that_cannot_be_written_leaves_earlier_results(command, tmp_path):
    assert command("run", "coin", "--scale", "smoke")[0] == 0
    records = tmp_path / "results" / "smoke" / "coin" / "records.parquet"
    before = records.read_bytes()
    shutil.rmtree(tmp_path / "results" / "smoke" / "walk", ignore_errors=True)
    (tmp_path / "results" / "smoke" / "walk").write_text("a file where a folder must be")
    status, _, errors = command("run", "walk", "--scale", "smoke")
    assert status == 2
    assert len(errors.strip().splitlines()) == 1, errors
    assert records.read_bytes() == before
