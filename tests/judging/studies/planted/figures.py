"""The planted study's figure."""

from matplotlib.figure import Figure


def plot_arms(records):
    """Points, one a run."""
    figure = Figure()
    axes = figure.subplots()
    axes.plot(records["seed"], records["up"], "o")
    axes.set(xlabel="seed", ylabel="up")
    return figure
