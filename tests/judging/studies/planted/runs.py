"""Two arms of normal numbers: one effect that is there, one that is not, one the wrong way round."""

import pandas as pd

SHIFT = {"up": 2.0, "same": 0.0, "down": -2.0}


def run_main(runs, context):
    """One row a run: three numbers, and a sum that is known."""
    rows = []
    for row in runs.itertuples():
        draws = context.numpy_generator(row.seed, "noise of " + row.arm).normal(0, 0.5, 3)
        moved = [draw + (row.arm == "b") * shift for draw, shift in zip(draws, SHIFT.values())]
        rows.append({"run": row.run, **dict(zip(SHIFT, moved)), "two": 2.0})
    return pd.DataFrame(rows)
