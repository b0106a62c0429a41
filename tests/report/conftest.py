"""A small lecture with five studies (finished, planted, hostile, judged on an old region, never run), and its report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from claimcheck.figures import drawing
from claimcheck.judging import judge
from claimcheck.report import build as report
from claimcheck.results import view
from claimcheck.results.state import Machine, Results, locate
from claimcheck.running import runner
from claimcheck.spec.config import Config
from claimcheck.spec.reading import load_study, study_names

PLANTED = Path(__file__).parent / "planted"
"""A study whose numbers are known beforehand: two data sets, facts, infinite and missing numbers, two registrations."""

LECTURE = r"""
title: "Nets & <b>depth</b>"
author: A. Lecturer
sections:
  - id: depth
    title: Depth
    chapter: Basics
    claims:
      - {id: noise-is-centred, study: coins, found_by: i.i.d. IID, says: "Noise has mean zero, $E[\\epsilon] = 0$."}
      - {id: noise-is-large, study: coins, says: Noise is large.}
      - {id: noise-decides, study: coins, says: Noise decides.}
      - {id: a-matter-of-taste, says: Deep is beautiful., found_by: good-looking U-shaped, not_testable: "A judgement, no measurement decides it."}
  - id: width
    title: "Width # 2"
    chapter: Basics
    claims:
      - {id: hostile-claim, study: hostile, says: "<script>alert(1)</script> & `code` costs $5 #include(\"x\")"}
      - {id: never-run, study: never, says: Nobody looked.}
      - {id: changed-later, study: old, says: It was so once.}
      - {id: later, study: someday, says: It will be tested.}
      - {id: depends-on-data, study: planted, says: Treatment helps.}
      - {id: one-is-one, study: planted, says: One is one by arithmetic.}
      - {id: pi-is-three, study: planted, says: A circle is three times as long as it is wide.}
  - {id: silence, title: Silence, chapter: Basics}
"""

COINS = r"""
title: Coins
question: Does noise average out?
sections: [depth]
method: |
  Every seed draws `draws` numbers per arm, $x \sim N(\mu, 1)$.

  - one
  - two
references: ["@gauss1809theoria", "P. Laplace, Théorie analytique, doi:10.1000/laplace-1812.", "A letter to Olbers, 1802."]
parts:
  tosses:
    describes: "plain draws | with a bar"
    factors: {arm: {values: [left, right]}}
    settings: {draws: 50, shift: 0.0}
    index: [step]
scales:
  smoke: {seeds: 4}
  quick: {seeds: 16, tosses: {draws: 200}}
claims:
  - id: noise-is-centred
    predictions:
      - id: mean-is-zero
        says: "The mean $\\bar x$ is zero."
        part: tosses
        measure: {value: x, mean_over: [step, arm]}
        region: [-0.2, 0.2]
        unit: nats
        why: "The law of large numbers, arXiv:1611.01232."
        reference:
          - {says: expected, value: 0.0, source: "Gauss 1809. arXiv:1611.01232"}
          - {says: tosses of a die, value: 3.5, source: counted, comparable: false}
        controls: {none: "A law | of large numbers."}
      - id: arms-differ
        says: The arms differ.
        statistic: arm_difference
        region: [1.0, null]
        kind: limit
        why: Nothing says so.
        controls: {none: A limit.}
      - id: small-print
        says: The mean is small.
        statistic: mean_value
        region: [null, 100]
        kind: limit
        why: Far away.
        controls: {none: A limit.}
  - id: noise-is-large
    predictions:
      - id: mean-is-large
        says: The mean is above ten.
        statistic: mean_value
        region: [10, null]
        unit: nats
        why: The lecture says so.
        controls: {none: Nothing is large.}
  - id: noise-decides
    predictions:
      - id: sign-decides
        says: The mean is positive.
        statistic: mean_value
        region: [0, null]
        why: A coin.
        controls: {none: A coin.}
  - id: own-claim
    says: A claim of our own.
    predictions:
      - {id: ones, says: One is one., statistic: one, region: [0.999999, 1.000001], why: Exact., controls: {none: Exact.}}
figures:
  - id: by-step
    part: tosses
    caption: "Mean by step, $\\mu$ dashed."
    alt: "Two noisy curves \"round\" zero."
    claims: [noise-is-centred]
"""

COINS_NOTES = r"""
True in {{ runs('mean-is-zero') }}: the mean is {{ estimate('mean-is-zero') }} {{ interval('mean-is-zero') }} over {{ n('mean-is-zero') }} runs:
{{ verdict('noise-is-centred') }}.
That is {{ size('mean-is-zero') }} in size, {{ percent('mean-is-zero') }} % and a factor of {{ factor('mean-is-zero') }}.
It stops where $$\mu \neq 0.$$
As @gauss1809theoria says [see @laplace1812theorie, chap. 2], write to a@b.
"""

WORKS = """
@book{gauss1809theoria,
  author = {Gauss, Carl Friedrich},
  title = {Theoria motus},
  year = {1809},
}
@book{laplace1812theorie,
  author = {Laplace, Pierre-Simon},
  title = {Théorie analytique des probabilités},
  year = {1812},
  doi = {10.1000/laplace-1812},
}
@book{nobody1900unread,
  author = {Nobody, N.},
  title = {Never cited},
  year = {1900},
}
"""

RUNS = """
import numpy as np
import pandas as pd


def run_tosses(runs, context):
    rows = []
    for run, seed, arm in zip(runs["run"], runs["seed"], runs["arm"]):
        draws = context.numpy_generator(int(seed), f"draws {arm}").standard_normal(context.settings.draws)
        rows += [(run, step, float(part.mean())) for step, part in enumerate(np.split(draws, 5))]
    return pd.DataFrame(rows, columns=["run", "step", "x"])
"""

STATISTICS = """
def mean_value(records):
    return records.groupby("seed")["x"].mean()


def arm_difference(records):
    arms = records.groupby(["seed", "arm"])["x"].mean().unstack()
    return arms["left"] - arms["right"]


def one(records):
    return records.groupby("seed")["x"].size() * 0.0 + 1.0
"""

FIGURES = """
from claimcheck.figures import style


def plot_by_step(records):
    axis = style.axis()
    style.curves(axis, records, x="step", y="x", by="arm", looks=style.looks(["left", "right"]))
    style.level(axis, 0.0, "expected")
    return style.finish(axis, records, xlabel="step", ylabel="mean / nats")
"""

SMALL = r"""
title: "{title}"
question: "{text}"
sections: [width]
method: |
  {text}

  # A heading of its own

  :::::
  </div></section> <!-- ``` open
parts:
  tosses: {{factors: {{arm: {{values: [left, right]}}}}, settings: {{draws: 10}}}}
scales:
  quick: {{seeds: {seeds}}}
claims:
  - id: {claim}
    predictions:
      - id: {claim}-mean
        says: "{text}"
        statistic: mean_value
        region: [-9, 9]
        why: "{text}"
        unit: "{unit}"
        controls: {{none: "{text}"}}
figures:
  - {{id: by-step, caption: "{text}", alt: "{text}"}}
"""

HOSTILE = '<script>alert(1)</script> #include(\\"x\\") $5 and ]( ` | $ {{y}} *a* [b](javascript:c) <!-- ::: \\\\ @a ~b~'


def write_studies(folder: Path) -> Path:
    """The lecture and its studies as files under `folder`."""
    folder.mkdir(parents=True)
    (folder / "lecture.yaml").write_text(LECTURE, encoding="utf-8")
    (folder / "references.bib").write_text(WORKS, encoding="utf-8")
    plain = {"title": "Plain", "text": "Plain text.", "unit": "", "seeds": 16}
    texts = {
        "coins": COINS,
        "hostile": SMALL.format(claim="hostile-claim", title=HOSTILE, text=HOSTILE, unit="<i>m</i>", seeds=12),
        "never": SMALL.format(claim="never-run", **plain),
        "old": SMALL.format(claim="changed-later", **plain),
    }
    code = {"runs.py": RUNS, "statistics.py": STATISTICS, "figures.py": FIGURES}
    for name, text in texts.items():
        beside = {"notes.md": COINS_NOTES} if name == "coins" else {}
        (folder / name).mkdir()
        for file, content in {"study.yaml": text, **beside, **code}.items():
            (folder / name / file).write_text(content, encoding="utf-8")
    shutil.copytree(PLANTED, folder / "planted", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def located(root: Path, scale: str = "quick", **folders: Path) -> tuple[Config, dict[str, Results]]:
    """Configuration and results of the project in `root`, as its files stand now."""
    names = {f"{each}_dir": folders.get(each, root / each) for each in ("studies", "results", "reports")}
    config = Config(scale=scale, device="cpu", **names)
    studies = [load_study(config.studies_dir, name) for name in study_names(config.studies_dir)]
    return config, {study.name: locate(study, config, Machine()) for study in studies if scale in study.scales}


def run_judge_plot(results: Results) -> None:
    """Do a study's three steps."""
    runner.run_parts(results, results.parts)
    runner.assemble(results)
    judge.judge(results)
    assert drawing.plot_study(results)
    view.publish(results)


@pytest.fixture(scope="session")
def find() -> Callable[..., tuple[Config, dict[str, Results]]]:
    """find(root, scale): configuration and results of a project as its files stand now."""
    return located


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with studies/, results/quick and reports/quick made from them."""
    root = tmp_path_factory.mktemp("project")
    write_studies(root / "studies")
    for name in ("coins", "planted", "hostile", "old"):
        run_judge_plot(located(root)[1][name])
    later = root / "studies/old/study.yaml"
    later.write_text(later.read_text(encoding="utf-8").replace("[-9, 9]", "[-8, 8]"), encoding="utf-8")
    report.build(*located(root))
    return root
