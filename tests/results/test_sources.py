"""What code some functions of a study reach, read off syntax trees; and that a step loads no more than its module."""

from __future__ import annotations

import subprocess
import sys

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results import sources

CODE = '''
"""A study."""

from __future__ import annotations

import decimal
import json
import math, statistics as stats
from collections import *

from claimcheck.theory import slopes

from . import closed_forms
from .formats import FORMATS as WIDTHS

table = {"first": 1}
table["second"] = 2
LEVEL = math.floor(1.5)


def trained(runs):
    """Uses json and nothing of the study's."""
    return json.dumps(runs)


def judged(values: Series):
    return stats.mean(values) + LEVEL + table["second"] + _shift()


def _shift():
    return 1 / 0


def drawn(values):
    return judged(values), slopes.counted(values)


def rounded(values):
    import numpy as np

    return np.round(values, WIDTHS["half"])


def compared(values):
    return closed_forms.expected(values)


def loaded(context):
    return context.dataset("mnist1d")


@coin("plain")
def _plain(toss):
    return toss + 10


@shown.register
def _(value: int):
    return value + 20


@coin("round")
class Round:
    sides = 30


@lru_cache(maxsize=4)
def _remembered(toss):
    return toss + 40


def wrapped(function):
    @wraps(function)
    def called(*values):
        return function(*values)

    return called


@wrapped
def _called(toss):
    return toss + 50


_ = coin("bent")(lambda toss: toss + 60)
decimal.level = 70
'''
FORMATS = """
FORMATS = {"half": _bits(10)}


def _bits(count):
    return count


def unused():
    return 3
"""


@pytest.fixture
def folder(tmp_path):
    """A study's folder with two modules beside runs.py."""
    (tmp_path / "runs.py").write_text(CODE)
    (tmp_path / "formats.py").write_text(FORMATS)
    (tmp_path / "closed_forms.py").write_text("def expected(values):\n    return other(values)\n")
    return tmp_path


def reached(folder, *roots):
    return sources.reach(folder, "runs", roots).hashes


def replaced(folder, old, new, file="runs.py"):
    text = (folder / file).read_text()
    assert text.count(old) == 1, old
    (folder / file).write_text(text.replace(old, new))


CHANGES = {  # what is changed in runs.py -> which of the two roots `judged` and `trained` reach it
    "the function itself": ("stats.mean(values)", "stats.median(values)", {"judged"}),
    "a function that it calls": ("1 / 0", "2 / 0", {"judged"}),
    "a constant": ("math.floor(1.5)", "math.floor(2.5)", {"judged"}),
    "what fills a table": ('table["second"] = 2', 'table["second"] = 3', {"judged"}),
    "an import under another name": ("statistics as stats", "fractions as stats", {"judged"}),
    "a function that calls it": ("slopes.counted", "slopes.fitted", set()),
    "another root": ("json.dumps", "json.loads", {"trained"}),
    "a docstring": ("Uses json and nothing", "Uses json, nothing", set()),
    "the module's docstring": ('"""A study."""', '"""The study."""', set()),
    "a comment": ("return 1 / 0", "return 1 / 0  # never", set()),
    "the layout": ("return json.dumps(runs)", "return json.dumps(\n        runs\n    )", set()),
    "a function that a decorator registers": ("toss + 10", "toss + 11", {"judged", "trained"}),
    "a function without a name that a decorator registers": ("value + 20", "value + 21", {"judged", "trained"}),
    "a class that a decorator registers": ("sides = 30", "sides = 31", {"judged", "trained"}),
    "a function that a decorator only wraps": ("toss + 40", "toss + 41", set()),
    "a function that a decorator of the same file only wraps": ("toss + 50", "toss + 51", set()),
    "what is assigned to no name": ("toss + 60", "toss + 61", {"judged", "trained"}),
    "what is set in an imported module": ("decimal.level = 70", "decimal.level = 71", {"judged", "trained"}),
    "an import of everything": ("from collections import *", "from math import *", {"judged", "trained"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_hash_changes_with_what_is_reached_and_with_nothing_else(folder, name):
    old, new, changed = CHANGES[name]
    before = {root: reached(folder, root) for root in ("judged", "trained")}
    replaced(folder, old, new)
    assert {root for root in before if reached(folder, root) != before[root]} == changed


def test_another_module_of_the_study_counts_as_far_as_it_is_reached(folder):
    before = reached(folder, "rounded")
    assert list(before)[:2] == ["runs.py", "formats.py"]
    replaced(folder, "return 3", "return 4", "formats.py")
    assert reached(folder, "rounded") == before
    replaced(folder, "return count", "return 2 * count", "formats.py")
    assert reached(folder, "rounded")["formats.py"] != before["formats.py"]
    assert reached(folder, "rounded")["runs.py"] == before["runs.py"]
    assert "formats.py" not in reached(folder, "judged")


NOT_PYTHON = {
    "a slip": (b"def width(count:\n    return count\n", r" in line 1 \("),
    "an indent, further down": (b"FORMATS = 1\n\n  WIDTHS = 2\n", r" in line 3 \("),
    "another encoding": (b'FORMATS = "\xff"\n', r" in line 1 \(.*utf-8"),
    "a null byte": (b"FORMATS = 1\x00\n", r".* null bytes"),
}


@pytest.mark.parametrize("what", NOT_PYTHON)
def test_a_reached_module_that_is_not_python_is_told_in_one_line(folder, what):
    content, said = NOT_PYTHON[what]
    (folder / "formats.py").write_bytes(content)
    with pytest.raises(ClaimcheckError, match=rf"formats\.py: is not valid Python{said}") as caught:
        reached(folder, "rounded")
    assert "\n" not in str(caught.value)
    assert reached(folder, "judged"), "what does not reach it is told nothing"


FAIR = """
from .table import TABLE, coin


def thrown(value):
    return _half(value)


def _half(value):
    return value / 2


@coin("fair")
def _fair(value):
    return value + 1


if __name__ == "__main__":
    print(3)
"""


@pytest.mark.parametrize(
    ("words", "counting"),
    [
        ("from . import fair  # registers itself", ["/ 2", "+ 1", "print(3)"]),
        ("from .fair import thrown  # for others", ["+ 1"]),
        ("from . import fair\n\n\ndef uses_it():\n    return fair.thrown", ["+ 1"]),
    ],
)
def test_what_a_module_does_when_it_is_imported_counts_whoever_uses_it(folder, words, counting):
    """All of it, where it is imported and never named: it can be there for nothing else."""
    (folder / "fair.py").write_text(FAIR)
    (folder / "table.py").write_text("TABLE = {}\n")
    replaced(folder, "from . import closed_forms\n", f"from . import closed_forms\n{words}\n")
    for code in ("/ 2", "+ 1", "print(3)"):
        before = reached(folder, "judged")
        replaced(folder, code, f"{code} or 0", "fair.py")
        assert (reached(folder, "judged") != before) == (code in counting), code
    (folder / "fair.py").write_text("def thrown(value:\n")
    if len(counting) > 1:
        with pytest.raises(ClaimcheckError, match=r"fair\.py: is not valid Python"):
            reached(folder, "judged")


def test_a_module_imported_whole_counts_whole(folder):
    before = reached(folder, "compared")
    (folder / "closed_forms.py").write_text((folder / "closed_forms.py").read_text() + "\n\ndef more():\n    pass\n")
    assert reached(folder, "compared") != before


@pytest.mark.parametrize("words", ["from .tables.widths import WIDTHS", "from .tables import widths as WIDTHS"])
def test_a_module_in_a_folder_of_the_study_counts_with_what_it_imports(folder, words):
    (folder / "tables").mkdir()
    (folder / "tables" / "widths.py").write_text("from .bits import WIDTHS\n")
    (folder / "tables" / "bits.py").write_text("from ..formats import FORMATS\n\nWIDTHS = [FORMATS, 2]\n")
    replaced(folder, "from .formats import FORMATS as WIDTHS", words)
    first = reached(folder, "rounded")
    assert set(first) == {"runs.py", "tables/widths.py", "tables/bits.py", "formats.py"}
    (folder / "tables" / "bits.py").write_text("from ..formats import FORMATS\n\nWIDTHS = [FORMATS, 3]\n")
    assert reached(folder, "rounded") != first


@pytest.mark.parametrize("words", ["from .tables import WIDTHS", "from .tables.widths import WIDTHS"])
def test_what_a_folder_of_the_study_executes_when_it_is_imported_counts(folder, words):
    (folder / "tables").mkdir()
    (folder / "tables" / "__init__.py").write_text("from .widths import WIDTHS\n\nWIDTHS.append(2)\n")
    (folder / "tables" / "widths.py").write_text("WIDTHS = [1]\n")
    replaced(folder, "from .formats import FORMATS as WIDTHS", words)
    first = reached(folder, "rounded")
    assert set(first) == {"runs.py", "tables/__init__.py", "tables/widths.py"}
    replaced(folder, "append(2)", "append(3)", "tables/__init__.py")
    second = reached(folder, "rounded")
    assert second != first
    replaced(folder, "[1]", "[4]", "tables/widths.py")
    assert reached(folder, "rounded") != second


def test_modules_of_the_package_are_followed_from_what_is_reached(folder):
    found = sources.reach(folder, "runs", ["drawn"])
    assert "claimcheck.theory.slopes" in found.hashes
    assert "numpy" in found.packages
    assert not [name for name in reached(folder, "judged") if name.startswith("claimcheck.")]
    assert "numpy" in sources.reach(folder, "runs", ["rounded"]).packages, "an import inside a function"


def test_words_in_reached_code_may_name_data(folder):
    assert "mnist1d" in sources.reach(folder, "runs", ["loaded"]).words
    assert "mnist1d" not in sources.reach(folder, "runs", ["judged"]).words


def test_training_reaches_neither_judge_nor_figures_nor_report():
    modules, _ = sources.closure(["running.tuning", "engine.context", "engine.train", "spec.design"])
    assert "engine.train" in modules
    assert not [name for name in modules if name.split(".")[0] in ("judging", "figures", "report", "cli")]


@pytest.mark.parametrize(
    ("step", "unused"), [("statistics", ("torch", "seaborn")), ("figures", ("torch",)), ("runs", ("seaborn",))]
)
def test_a_step_loads_no_library_that_it_does_not_use(step, unused, tmp_path):
    (tmp_path / "runs.py").write_text("import torch\n\n\ndef run_main(runs, context):\n    return torch.ones(1)\n")
    (tmp_path / "statistics.py").write_text("def half(records):\n    return records\n")
    (tmp_path / "figures.py").write_text("from claimcheck.figures import style\n\nplot_all = style.figure\n")
    words = "import sys; from pathlib import Path; import claimcheck.judging.judge, claimcheck.results.state; "
    words += "from claimcheck.spec.modules import study_module; "
    words += f"study_module(Path({str(tmp_path)!r}), {step!r}); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert not set(unused) & set(said.stdout.split())
