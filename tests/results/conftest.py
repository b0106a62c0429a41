"""The tiny studies' results, made step by step."""

import pytest


@pytest.fixture
def make():
    """make(results): run, assemble, judge, draw and publish, as far as named; gives the results."""
    from claimcheck.figures import drawing
    from claimcheck.judging.judge import judge
    from claimcheck.results import view
    from claimcheck.running import runner

    steps = {
        "run": lambda results: runner.run_parts(results, results.parts),
        "assemble": runner.assemble,
        "judge": judge,
        "plot": drawing.plot_study,
        "publish": view.publish,
    }

    def do(results, *wanted):
        for step in wanted or steps:
            steps[step](results)
        return results

    return do


@pytest.fixture
def change(studies):
    """change("walk/study.yaml", old, new): replace the one occurrence of `old` in a file of the studies."""

    def replaced(name, old, new):
        path = studies / name
        assert path.read_text().count(old) == 1, old
        path.write_text(path.read_text().replace(old, new))

    return replaced


@pytest.fixture
def listed():
    """listed(folder): the files below a folder, locks and compiled code aside."""

    def find(folder):
        found = (path for path in folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(folder)) for path in found if path.suffix not in (".lock", ".pyc"))

    return find
