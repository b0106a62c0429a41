"""Nested tuples, lists and dictionaries of tensors: their leaves, and the same form with other leaves.

Anything else is a leaf, None included. Dictionaries keep their order, named tuples their type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """The leaves from left to right."""
    if not isinstance(tree, dict | list | tuple):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in leaves(child)]


def rebuilt(form: Any, values: Iterable[Any]) -> Any:
    """A tree like ``form`` with ``values`` for leaves."""
    rest = iter(values)

    def build(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: build(child) for name, child in node.items()}
        if isinstance(node, list | tuple):
            children = [build(child) for child in node]
            return type(node)(*children) if hasattr(node, "_fields") else type(node)(children)
        return next(rest)

    return build(form)


def mapped(function: Callable[..., Any], *trees: Any) -> Any:
    """``function`` of each leaf, or of the corresponding leaves of several trees of one form."""
    return rebuilt(trees[0], map(function, *map(leaves, trees)))
