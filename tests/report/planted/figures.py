"""The planted study's figure."""

from matplotlib.figure import Figure


def plot_effect(records):
    """Dots, one a run."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.scatter(records["arm"], records["effect"])
    axes.set(xlabel="arm", ylabel="effect")
    return figure
