"""Trees keep their form: the order of dictionaries, the types of tuples, None as a leaf."""

from __future__ import annotations

from typing import Any, NamedTuple

from claimcheck.engine import trees


class Pair(NamedTuple):
    first: Any
    second: Any


TREE = (Pair({"b": 1, "a": [2, None]}, ()), {"c": (3, 4)}, 5)


def test_leaves_stand_from_left_to_right() -> None:
    assert trees.leaves(TREE) == [1, 2, None, 3, 4, 5]


def test_a_tree_is_rebuilt_from_its_leaves() -> None:
    again = trees.rebuilt(TREE, trees.leaves(TREE))
    assert again == TREE
    assert isinstance(again[0], Pair)
    assert list(again[0].first) == ["b", "a"]


def test_a_function_is_mapped_over_corresponding_leaves() -> None:
    assert trees.mapped(lambda a, b: (a, b), [1, {"x": 2}], [3, {"x": 4}]) == [(1, 3), {"x": (2, 4)}]
