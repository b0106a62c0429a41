"""Cells of a design as study.yaml names them: which levels are meant, and which combinations are in a cell.

A combination gives one level of every factor; a cell gives a level, a list of levels or a word for some of them.
"""

from __future__ import annotations

import math

from claimcheck.spec.parts import Cell, Scalar

WORDS = {"lowest", "highest", "all"}
"""Words for levels, whatever these are at the scale."""


def several(levels: dict[str, list[Scalar]]) -> str:
    """Which factors still have several levels, and what to do about it."""
    shown = " and of ".join(f"{name} ({', '.join(map(str, found))})" for name, found in levels.items())
    advice = "choose one under `of`, or name the factor under mean_over, max_over or min_over"
    return f"several levels of {shown} are left: {advice}"


def in_words(levels: dict[str, list[Scalar]]) -> str:
    """A cell as a user writes it."""
    shown = (f"{name}: {wanted[0] if len(wanted) == 1 else wanted}" for name, wanted in levels.items())
    return f"{{{', '.join(shown)}}}"


def resolved(cell: Cell, cells: list[dict[str, Scalar]]) -> dict[str, list[Scalar]]:
    """The cell as lists of levels: words replaced, and of a list only levels that the rest of the cell has.

    Args:
        cells: combinations of levels that there are; names that they lack keep their levels.
    """
    levels = {name: wanted if isinstance(wanted, list) else [wanted] for name, wanted in cell.items()}
    values = {name: [other[name] for other in cells if name in other] for name in levels}
    words = {name for name in levels if any(is_word(level, values[name]) for level in levels[name])}
    fixed = {name: wanted for name, wanted in levels.items() if name not in words}
    rest = [other for other in cells if in_cell(other, fixed)]
    for name, wanted in levels.items():
        present = list(dict.fromkeys(other[name] for other in rest if name in other))
        if name in words and present:
            meant = {"lowest": min(present), "highest": max(present)} if _numbers(present) else {}
            levels[name] = present if "all" in wanted else [meant.get(level, level) for level in wanted]
        if len(levels[name]) > 1:
            levels[name] = [level for level in present if among(level, levels[name])] or wanted
    return levels


def in_cell(cell: dict[str, Scalar], levels: dict[str, list[Scalar]]) -> bool:
    """Whether a combination has one of the levels of everything that both name."""
    return all(name not in cell or among(cell[name], wanted) for name, wanted in levels.items())


def among(value: Scalar, levels: list[Scalar]) -> bool:
    """Whether a value is one of the levels."""
    return any(same_level(level, value) for level in levels)


def is_word(level: Scalar, values: list[Scalar]) -> bool:
    """Whether a level stands for others: `lowest` and `highest` for numbers, `all`, unless a level is called so."""
    return isinstance(level, str) and level in (WORDS if _numbers(values) else {"all"} - set(values))


def _numbers(values: list[Scalar]) -> bool:
    return not any(isinstance(value, str | bool) for value in values)


def same_level(wanted: Scalar, value: Scalar) -> bool:
    """Whether a level that was written means a value; numbers may differ by 1e-9 of their size."""
    if isinstance(wanted, str | bool) or isinstance(value, str | bool):
        return type(wanted) is type(value) and wanted == value
    return math.isclose(wanted, value, rel_tol=1e-9)
