"""Two laws of Newtonian physics with one constant to be found, and the same laws written down wrongly."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Law(NamedTuple):
    """y = known(x) + constant * term(x), of inputs [N, 3] drawn evenly between two corners.

    Attributes:
        inside: corners of the inputs that are seen in training; outside: of others, farther on.
        wrong: what somebody mistaken about the law has in place of its term.
    """

    inside: tuple[list[float], list[float]]
    outside: tuple[list[float], list[float]]
    constant: float
    known: Callable[[Tensor], Tensor]
    term: Callable[[Tensor], Tensor]
    wrong: Callable[[Tensor], Tensor]


LAWS = {
    # Height of a body thrown upwards, h + v t - g t^2 / 2, from h / m, v / (m/s) and t / s; wrong: linear in t.
    "fall": Law(
        ([0, 0, 0], [10, 10, 2]), ([0, 0, 2], [10, 10, 4]), 9.81,
        lambda x: x[:, 0] + x[:, 1] * x[:, 2], lambda x: -(x[:, 2] ** 2) / 2, lambda x: -x[:, 2],
    ),
    # Attraction of two bodies, G m M / r^2 with G = 1, from m, M and r; wrong: the first power of r.
    "gravity": Law(
        ([1, 1, 1], [3, 3, 3]), ([1, 1, 0.5], [3, 3, 1]), 1.0,
        lambda x: 0 * x[:, 0], lambda x: x[:, 0] * x[:, 1] / x[:, 2] ** 2, lambda x: x[:, 0] * x[:, 1] / x[:, 2],
    ),
}  # fmt: skip
