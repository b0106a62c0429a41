"""Figures of representations."""

from claimcheck.figures import style


def plot_towers(records):
    axis = style.axis()
    style.points(axis, records, x="arm", y="to_signals", times=100)
    return style.finish(axis, records)
