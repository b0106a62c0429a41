"""Parts that are measured run by run or seed by seed."""

import pandas as pd

from claimcheck.engine.single import per_run, per_seed

RUNS = pd.DataFrame({"run": ["a", "b", "c"], "seed": [1, 0, 1], "size": [2, 3, 4]}, index=[7, 8, 9])


class Listening:
    """Keeps the shares that it is told."""

    def __init__(self):
        self.told = []

    def advance(self, share):
        self.told.append(share)


def test_a_function_of_one_run_becomes_one_of_all_with_its_name_and_docstring():
    @per_run
    def run_square(run, context):
        """The square."""
        return {"square": run.size**2}

    assert (run_square.__name__, run_square.__doc__) == ("run_square", "The square.")
    assert run_square(RUNS, None).to_dict("list") == {"run": ["a", "b", "c"], "square": [4, 9, 16]}


def test_a_function_of_one_seed_sees_that_seed_s_runs_alone_and_progress_is_told():
    seen, context = [], Listening()

    @per_seed
    def run_share(runs, context):
        seen.append((runs["seed"].unique().tolist(), runs["run"].tolist()))
        return [{"run": run.run, "share": run.size / runs["size"].sum()} for run in runs.itertuples()]

    found = run_share(RUNS, context)
    assert seen == [([1], ["a", "c"]), ([0], ["b"])]
    assert found.set_index("run")["share"].to_dict() == {"a": 2 / 6, "c": 4 / 6, "b": 1.0}
    assert found.index.tolist() == [0, 1, 2]
    assert context.told == [2 / 3, 1.0]
