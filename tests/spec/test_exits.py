"""A study's code that exits ends no step as if it were done."""

import subprocess
import sys

import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.modules import answer, study_module

LEAVE = "import sys\nsys.exit()\n"


def test_a_module_that_exits_when_it_is_read_is_told(studies):
    (studies / "coin" / "runs.py").write_text(LEAVE)
    with pytest.raises(ClaimcheckError, match=r"cannot be imported.*SystemExit"):
        study_module(studies / "coin", "runs")


def test_a_statistic_that_exits_is_told(tmp_path):
    with pytest.raises(ClaimcheckError, match=r"failed.*SystemExit"):
        answer(lambda records: sys.exit(), pd.DataFrame({"seed": [0]}), tmp_path / "statistics.py", "coin")


def test_statements_of_one_line_are_hashed_in_their_order(studies):
    (studies / "coin" / "more.py").write_text("A = 1; B = 2\n")
    program = (
        "import sys; from pathlib import Path; from claimcheck.results import sources\n"
        "tree = sources._tree(Path(sys.argv[1]), Path(sys.argv[1]).read_bytes())\n"
        "print([node.targets[0].id for node in sources.reached(tree, frozenset('BA'))])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program, str(studies / "coin" / "more.py")],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in range(1, 6)
    }
    assert said == {"['A', 'B']\n"}
