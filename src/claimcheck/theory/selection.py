"""What choosing features on all data does to a test: the accuracy that pure noise seems to reach.

n examples of two equal classes, p features of standard normal noise. The k features whose class means differ most *over
all examples* are kept; a classifier that weights each by its difference is fitted to one half and tested on the other.
The effect is that of Ambroise and McLachlan 2002 (Selection bias in gene extraction, PNAS 99), the formula our own:

Over all examples feature j has the difference d_j, on the halves d_j + e_j and d_j - e_j; d_j and e_j are independent
normals of variance 4 / n. The score of a test example has mean +-sum (d^2 - e^2) / 2 and variance sum (d + e)^2, so for
the m = E[z^2] of the k largest of p standard normals by size the accuracy is Phi(sqrt(k / n) (m - 1) / sqrt(m + 1)).
Knows no study, draws no random number.
"""

from __future__ import annotations

import math

from scipy.stats import norm


def largest_squares(kept: int, candidates: int) -> float:
    """Mean square of the `kept` of `candidates` standard normals that are largest by size, for many candidates."""
    share = kept / candidates
    if share >= 1:
        return 1.0
    cut = norm.isf(share / 2)
    return float(1 + 2 * cut * norm.pdf(cut) / share)


def leaked_accuracy(examples: int, candidates: int, kept: int) -> float:
    """Expected test accuracy on pure noise where features were chosen on all examples; 1/2 without a choice."""
    square = largest_squares(kept, candidates)
    return float(norm.cdf(math.sqrt(kept / examples) * (square - 1) / math.sqrt(square + 1)))
