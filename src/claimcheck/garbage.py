"""Python's search for garbage, as short programs want it."""

from __future__ import annotations

import atexit
import gc

USUAL = gc.get_threshold()
"""How many objects are made between one search and the next, by generation."""


def look_seldom() -> None:
    """Go through all objects seldom, and not once more at the end.

    Importing PyTorch, seaborn or Snakemake makes half a million objects that stay. To go through them while they load and
    when the process ends was a tenth and more of a short step's time, and a third of a pipeline's that has nothing to do.
    """
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)


def look_as_usual() -> None:
    """Go through them as often as Python does by itself: a few thousand objects that nobody uses any more may hold a
    gigabyte of tensors."""
    gc.set_threshold(*USUAL)
