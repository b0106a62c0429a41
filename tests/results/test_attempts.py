"""Which step of a study failed, told from what it left behind."""

from claimcheck.results.attempts import last_failure


def test_a_step_that_ended_is_not_told(tmp_path):
    (tmp_path / "run.log").write_text("coin: records in results\n")
    (tmp_path / "records.parquet").touch()
    assert last_failure(tmp_path) == ""


def test_an_error_is_quoted_with_its_log(tmp_path):
    (tmp_path / "run.log").write_text("coin: starting\nclaimcheck: disk full\n")
    assert last_failure(tmp_path).endswith("run.log, which ends: disk full")


def test_a_kill_leaves_a_log_and_nothing_else(tmp_path):
    (tmp_path / "run.log").write_text("")
    assert "to run it did not end well" in last_failure(tmp_path)


def test_old_records_do_not_hide_that_the_new_attempt_failed(tmp_path):
    (tmp_path / "records.parquet").touch()
    (tmp_path / "run.log").write_text("Traceback (most recent call last):\nMemoryError\n")
    assert last_failure(tmp_path)


def test_the_first_step_that_failed_is_told(tmp_path):
    (tmp_path / "records.parquet").touch()
    for step in ("judge", "plot"):
        (tmp_path / f"{step}.log").write_text("claimcheck: no\n")
    assert "to judge it" in last_failure(tmp_path)


def test_a_study_never_tried_has_not_failed(tmp_path):
    assert last_failure(tmp_path) == ""
