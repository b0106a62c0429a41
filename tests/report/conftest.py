"""A small lecture with four studies (finished, hostile, judged on an old region, never run), and its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimcheck.figures import drawing as figures
from claimcheck import report
from claimcheck.judging import judge
from claimcheck.spec.reading import load_study
from claimcheck.running.runner import run_study
from claimcheck.spec.models import Config

LECTURE = r"""
title: "Nets & <b>depth</b>"
author: A. Lecturer
sections:
  - id: depth
    title: Depth
    chapter: Basics
    claims:
      - {id: noise-is-centred, study: coins, says: "Noise has mean zero, $E[\\epsilon] = 0$."}
      - {id: noise-is-large, study: coins, says: Noise is large.}
      - {id: noise-decides, study: coins, says: Noise decides.}
      - {id: a-matter-of-taste, says: Deep is beautiful., not_testable: "A judgement, no measurement decides it."}
  - id: width
    title: "Width # 2"
    chapter: Basics
    claims:
      - {id: hostile-claim, study: hostile, says: "<script>alert(1)</script> & `code` costs $5 #include(\"x\")"}
      - {id: never-run, study: never, says: Nobody looked.}
      - {id: changed-later, study: old, says: It was so once.}
      - {id: later, study: someday, says: It will be tested.}
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
notes: |
  The mean is {{ estimate('mean-is-zero') }} {{ interval('mean-is-zero') }} over {{ n('mean-is-zero') }} seeds:
  {{ verdict('noise-is-centred') }}.
  That is {{ size('mean-is-zero') }} in size, {{ percent('mean-is-zero') }} % and a factor of {{ factor('mean-is-zero') }}.
  It stops where $$\mu \neq 0.$$
references: ["Gauss 1809, Theoria motus. arXiv:1611.01232"]
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
        statistic: mean_value
        region: [-0.2, 0.2]
        unit: nats
        why: "The law of large numbers, arXiv:1611.01232."
        reference: [{says: expected, value: 0.0, source: "Gauss 1809. arXiv:1611.01232"}]
        amended: [{date: 2026-01-05, was: [-0.1, 0.1], reason: "Too strict | for 200 draws."}]
      - id: arms-differ
        says: The arms differ.
        statistic: arm_difference
        region: [1.0, null]
        kind: limit
        why: Nothing says so.
      - id: small-print
        says: The mean is small in the median.
        statistic: mean_value
        region: [null, 100]
        average: median
        kind: limit
        why: Far away.
  - id: noise-is-large
    predictions:
      - id: mean-is-large
        says: The mean is above ten.
        statistic: mean_value
        region: [10, null]
        unit: nats
        why: The lecture says so.
  - id: noise-decides
    predictions:
      - {id: sign-decides, says: The mean is positive., statistic: mean_value, region: [0, null], why: A coin.}
  - id: own-claim
    says: A claim of our own.
    predictions:
      - {id: exact-one, says: One is one., statistic: one, region: [0.999999, 1.000001], why: Exact.}
figures:
  - id: by-step
    part: tosses
    caption: "Mean by step, $\\mu$ dashed."
    alt: "Two noisy curves \"round\" zero."
    claims: [noise-is-centred]
"""

COINS_CODE = """
import numpy as np
import pandas as pd

from claimcheck.figures import style


def run_tosses(runs, context):
    rows = []
    for run, seed, arm in zip(runs["run"], runs["seed"], runs["arm"]):
        draws = context.numpy_generator(int(seed), f"draws {arm}").standard_normal(context.settings.draws)
        rows += [(run, step, float(part.mean())) for step, part in enumerate(np.split(draws, 5))]
    return pd.DataFrame(rows, columns=["run", "step", "x"])


def mean_value(records):
    return records.groupby("seed")["x"].mean()


def arm_difference(records):
    arms = records.groupby(["seed", "arm"])["x"].mean().unstack()
    return arms["left"] - arms["right"]


def one(records):
    return records.groupby("seed")["x"].size() * 0.0 + 1.0


def plot_by_step(records):
    figure, axis = style.figure()
    style.curves(axis, records, x="step", y="x", by="arm", looks=style.looks(["left", "right"]))
    style.theory(axis, None, 0.0, label="expected")
    style.legend(axis)
    style.count(axis, records)
    axis.set(xlabel="step", ylabel="mean / nats")
    return figure
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
notes: "{notes}"
factors: {{arm: {{values: [left, right]}}}}
scales:
  quick: {{seeds: 12, draws: 10}}
claims:
  - id: {claim}
    predictions:
      - {{id: {claim}-mean, says: "{text}", statistic: mean_value, region: [-9, 9], why: "{text}", unit: "{unit}"}}
figures:
  - {{id: by-step, caption: "{text}", alt: "{text}"}}
"""

HOSTILE = '<script>alert(1)</script> #include(\\"x\\") $5 and ]( ` | $ {{y}} *a* [b](javascript:c) <!-- ::: \\\\ @a ~b~'


def write_studies(folder: Path) -> Path:
    """The lecture and its studies as files under `folder`."""
    folder.mkdir(parents=True)
    (folder / "lecture.yaml").write_text(LECTURE, encoding="utf-8")
    small_code = COINS_CODE.replace("run_tosses", "run")
    plain = {"title": "Plain", "text": "Plain text.", "notes": "", "unit": ""}
    texts = {
        "coins": COINS,
        "hostile": SMALL.format(claim="hostile-claim", title=HOSTILE, text=HOSTILE, notes="", unit="<i>m</i>"),
        "never": SMALL.format(claim="never-run", **plain),
        "old": SMALL.format(claim="changed-later", **plain),
    }
    for name, text in texts.items():
        (folder / name).mkdir()
        (folder / name / "study.yaml").write_text(text, encoding="utf-8")
        (folder / name / "study.py").write_text(COINS_CODE if name == "coins" else small_code, encoding="utf-8")
    return folder


def run_judge_plot(studies: Path, results: Path, names: list[str], scale: str = "quick") -> None:
    """Do a study's three steps for each of `names`."""
    for name in names:
        study = load_study(studies, name)
        run_study(study, Config(scale=scale, device="cpu", results_dir=results, studies_dir=studies))
        judge.judge(study, scale, results)
        assert figures.plot_study(study, scale, results, strict=True)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with studies/, results/quick and reports/quick made from them."""
    root = tmp_path_factory.mktemp("project")
    studies, results = write_studies(root / "studies"), root / "results"
    run_judge_plot(studies, results, ["coins", "hostile", "old"])
    later = studies / "old" / "study.yaml"
    later.write_text(later.read_text(encoding="utf-8").replace("[-9, 9]", "[-8, 8]"), encoding="utf-8")
    report.build("quick", results, root / "reports", studies)
    return root
