"""What shells, notebooks and folders bring along changes neither pictures nor numbers, and stops nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from claimcheck.figures import drawing, style

SOURCE = Path(__file__).parents[2] / "src"
LOOKS = """
text.usetex: True
savefig.bbox: tight
xtick.minor.visible: True
xtick.direction: in
ytick.right: True
axes.xmargin: 0.3
axes.autolimit_mode: round_numbers
axes.titlecolor: white
legend.facecolor: black
hatch.color: red
"""
SETTINGS = {
    "other looks": LOOKS.encode(),
    "no rule of matplotlib": b"savefig.dpi: many\nno such key: 1",
    "not UTF-8": b"font.family: Caf\xe9",
}


def plot(records):
    _, axis = style.figure()
    style.curves(axis, records, x="step", y="loss")
    style.region(axis, 0.2, 0.4)
    axis.set_title("loss")
    return style.finish(axis, records, xlabel="step", ylabel="loss / nats")


RECORDS = pd.DataFrame({"step": [0, 1, 2] * 2, "loss": [0.5, 0.4, 0.1, 0.6, 0.5, 0.2], "seed": [0] * 3 + [1] * 3})

DRAWING = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from claimcheck.cli import surroundings
surroundings.settle()
from pathlib import Path
import test_surroundings as here
figure, problems = here.drawing.draw(here.plot, here.RECORDS)
print(problems)
here.drawing.save(figure, Path(sys.argv[1]) / "loss")
"""


def drawn(target, folder, **variables):
    """The bytes of a figure drawn by a process of ours in `folder` with these variables."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **variables}
    command = [sys.executable, "-P", "-c", DRAWING, str(target)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    return [path.read_bytes() for path in sorted(Path(target).iterdir())]


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The figure as it is drawn where nothing is in the way."""
    return drawn(tmp_path_factory.mktemp("usual"), tmp_path_factory.mktemp("empty"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *((kind, "working folder") for kind in SETTINGS),
        ("not UTF-8", "home"),
        ("other looks", "home"),
        ("other looks", "named by MATPLOTLIBRC"),
    ],
)
def test_no_settings_of_matplotlib_but_ours_reach_a_figure(kind, place, usual, tmp_path):
    folders = {name: tmp_path / name for name in ("work", "home", "target")}
    for folder in folders.values():
        folder.mkdir()
    own = folders["work" if place == "working folder" else "home"] / "matplotlibrc"
    own.write_bytes(SETTINGS[kind])
    variables = {"working folder": {}, "home": {"MPLCONFIGDIR": str(own.parent)}}
    assert drawn(folders["target"], folders["work"], **variables.get(place, {"MATPLOTLIBRC": str(own)})) == usual


@pytest.mark.parametrize(
    "backend",
    ["module://matplotlib_inline.backend_inline", "TkAgg", "no such backend"],
)
def test_our_processes_draw_with_agg_whatever_mplbackend_says(backend, usual, tmp_path):
    assert drawn(tmp_path, tmp_path, MPLBACKEND=backend, DISPLAY=":99") == usual


def test_a_settings_folder_that_cannot_be_written_stops_no_figure(usual, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "target").mkdir()
    assert drawn(tmp_path / "target", tmp_path, MPLCONFIGDIR=str(tmp_path / "file" / "config")) == usual


def test_within_a_notebook_figures_have_our_style_and_its_settings_come_back(usual, tmp_path):
    with matplotlib.rc_context({"axes.xmargin": 0.3, "xtick.minor.visible": True, "savefig.bbox": "tight"}):
        figure, _ = drawing.draw(plot, RECORDS)
        drawing.save(figure, tmp_path / "loss")
        assert matplotlib.rcParams["axes.xmargin"] == 0.3
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == usual


@pytest.mark.parametrize(
    ("file", "variables"),
    [
        (None, {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
        (None, {"MPLBACKEND": "no such backend"}),
        ("matplotlibrc", {}),
        ("random.py", {}),
        ("typing.py", {}),
    ],
)
def test_training_is_not_stopped_by_what_lies_in_the_folder_or_is_exported(file, variables, tmp_path):
    """Training imports matplotlib, too: mnist1d does."""
    if file is not None:
        (tmp_path / file).write_bytes(b"raise SystemExit('not a module of Python') # Caf\xe9\n")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **variables}
    code = "from claimcheck.cli import surroundings; surroundings.settle(); import mnist1d.utils, matplotlib.pyplot"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_steps_of_the_pipeline_take_no_module_from_the_working_folder():
    rules = (SOURCE.parent / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    assert "-P {program}" in rules
