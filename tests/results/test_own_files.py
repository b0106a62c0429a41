"""Files that people put among ours: no step takes them for its own, stumbles over them, changes or removes them."""

import pytest

from claimcheck.report import build as report
from claimcheck.results import view
from claimcheck.results.compare import compare
from claimcheck.results.pruning import prune
from claimcheck.results.reasons import explain
from claimcheck.results.state import Collection

OWN = (
    "results/readme.txt",
    "results/smoke/.DS_Store",
    "results/smoke/sketches/verdicts.json",
    "results/smoke/coin/thoughts.md",
    "results/smoke/coin/figures/sketch.png",
    "results/smoke/coin/figures/older/shares.svg",
    "results/smoke/coin/parts/which-is-which.txt",
    "results/smoke/.store/coin/mine.txt",
    "reports/smoke/letter.pdf",
)


@pytest.fixture
def found(locate, make, tmp_path):
    """The finished study `coin` with files of somebody else everywhere."""
    coin = make(locate("coin", reports_dir=tmp_path / "reports"))
    for name in OWN:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine", encoding="utf-8")
    return coin


def test_they_stay_through_every_step(found, locate, make, tmp_path):
    config = found.config
    results = {"coin": found}
    for _ in range(2):
        make(locate("coin", reports_dir=config.reports_dir))
        report.build(config, results)
        prune(Collection(config, results))
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in OWN] == ["mine"] * len(OWN)


def test_nothing_is_made_again_or_refused_for_them(found, locate):
    again = locate("coin", reports_dir=found.config.reports_dir)
    assert again.missing_parts() == []
    assert again.judged()
    assert again.drawn()
    view.check(again)
    assert "parts: up to date" in explain(again)
    assert not [line for line in explain(again) if "would" in line]
    assert prune(Collection(found.config, {"coin": again}), dry_run=True)[-1].startswith("0 files")


def test_they_are_not_compared(found, tmp_path):
    tree = tmp_path / "results" / "smoke"
    assert [(each.study, each.level) for each in compare(tree, tree)] == [("coin", "same bits")]
