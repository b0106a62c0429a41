"""A step executes the code that it is hashed by, and no more."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from claimcheck.results import sources as reach
from claimcheck.errors import ClaimcheckError

CODE = '''
"""A study."""

from __future__ import annotations

import json
import math, statistics as stats
from collections import *

table = {"first": 1}
table["second"] = 2
LEVEL = math.floor(1.5)


def trained(runs):
    return json.dumps(runs)


def judged(values: Series):
    return stats.mean(values) + LEVEL + table["second"] + _shift()


def _shift():
    return 1 / 0


def drawn(values):
    return judged(values)
'''


@pytest.fixture
def path(tmp_path):
    (tmp_path / "study.py").write_text(CODE)
    return tmp_path / "study.py"


def test_what_the_roots_reach_is_there_and_nothing_else(path):
    module = reach.load(path, "reached", ["judged"])
    assert {"judged", "_shift", "LEVEL", "math", "stats", "Counter"} <= set(vars(module))
    assert not {"trained", "drawn", "json"} & set(vars(module))
    assert module.table == {"first": 1, "second": 2}, "what fills a table belongs to it"
    assert {"trained", "drawn", "json"} <= set(vars(reach.load(path, "all")))


def test_lines_keep_their_numbers(path):
    module = reach.load(path, "reached", ["judged"])
    with pytest.raises(ZeroDivisionError) as raised:
        module.judged([1.0])
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.line) == (str(path), "return 1 / 0")


def test_code_that_fails_is_one_line(path):
    path.write_text(
        "import nowhere_at_all\n\n\ndef judged(x):\n    return nowhere_at_all.y\n\n\ndef other():\n    pass\n"
    )
    with pytest.raises(ClaimcheckError, match=r"study\.py: cannot be imported \(ModuleNotFoundError"):
        reach.load(path, "reached", ["judged"])
    assert reach.load(path, "reached", ["other"])


@pytest.mark.parametrize(
    ("step", "unused"), [("judge", ("torch", "seaborn")), ("plot", ("torch",)), ("run", ("seaborn",))]
)
def test_a_step_loads_no_library_that_it_does_not_use(step, unused, tmp_path):
    code = "import torch\nfrom claimcheck import style\n\n\ndef run(runs, context):\n    return torch.ones(1)\n\n\n"
    code += "def half(records):\n    return records\n\n\ndef plot_all(records):\n    return style.figure()\n"
    (tmp_path / "study.py").write_text(code)
    root = {"run": "run", "judge": "half", "plot": "plot_all"}[step]
    words = "import sys; from pathlib import Path; from claimcheck import reach; "
    words += f"reach.load(Path({str(tmp_path / 'study.py')!r}), 'study', [{root!r}]); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert not set(unused) & set(said.stdout.split())
