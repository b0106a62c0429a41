"""The coin's figure."""

from matplotlib.figure import Figure


def plot_shares(records):
    """Dots, one a run."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.scatter(records["bias"], records["heads"])
    axes.set(xlabel="bias", ylabel="share of heads")
    return figure
