"""The walk's figure."""

from matplotlib.figure import Figure


def plot_ends(records):
    """Dots, one a run."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.scatter(records["drift"], records["end"])
    axes.set(xlabel="drift", ylabel="end of the walk")
    return figure
