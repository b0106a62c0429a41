"""Mean-field theory of wide random networks: how variance goes forward and the squared gradient goes back.

A network of L square layers, h_l = W_l phi(h_{l-1}) + b_l with weights N(0, sigma_w^2 / width) and biases
N(0, sigma_b^2), obeys in the limit of large width (Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017,
arXiv:1611.01232)

    q_{l+1} = sigma_w^2 E[phi(sqrt(q_l) z)^2] + sigma_b^2        (mean square of the pre-activations)
    E[delta_l^2] = chi(q_l) E[delta_{l+1}^2],   chi(q) = sigma_w^2 E[phi'(sqrt(q) z)^2]

with z a standard normal and delta the derivative with respect to the pre-activations. Expectations are sums over a
dense even grid with no node at zero: Gauss-Hermite nodes are too few near the kink of ReLU, and of Swish at large q.

Plain functions of numbers; knows no network and no random number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import expit, ndtr

from claimcheck.errors import ClaimcheckError

_Z = (np.arange(8_000) - 3_999.5) * 0.0025
_WEIGHTS = np.exp(-0.5 * _Z**2) / math.sqrt(2.0 * math.pi) * (_Z[1] - _Z[0])

Function = Callable[[np.ndarray], np.ndarray]


def _gauss(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)


ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "linear": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: np.heaviside(x, 0.5)),
    "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "sigmoid": (expit, lambda x: expit(x) * expit(-x)),
    "swish": (lambda x: x * expit(x), lambda x: expit(x) * (1.0 + x * expit(-x))),
    "gelu": (lambda x: x * ndtr(x), lambda x: ndtr(x) + x * _gauss(x)),
}
"""Name -> (phi, phi')."""


def expectation(function: Function, q: float = 1.0) -> float:
    """E[function(sqrt(q) z)] for standard normal z."""
    return float(np.dot(_WEIGHTS, function(math.sqrt(q) * _Z)))


def _activation(name: str) -> tuple[Function, Function]:
    if name not in ACTIVATIONS:
        raise ClaimcheckError("unknown activation", found=name, expected=f"one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def next_variance(activation: str, q: float, weight_variance: float, bias_variance: float = 0.0) -> float:
    """q of the next layer: sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2."""
    phi, _ = _activation(activation)
    return weight_variance * expectation(lambda x: phi(x) ** 2, q) + bias_variance


def chi(activation: str, q: float, weight_variance: float) -> float:
    """Factor on the mean squared gradient on its way back through one layer: sigma_w^2 E[phi'(sqrt(q) z)^2]."""
    _, slope = _activation(activation)
    return weight_variance * expectation(lambda x: slope(x) ** 2, q)


def variances(
    activation: str, weight_variance: float, depth: int, input_variance: float = 1.0, bias_variance: float = 0.0
) -> np.ndarray:
    """Mean squared pre-activation of layers 1 ... depth, for inputs of mean square `input_variance`. `[depth]`."""
    q = np.empty(depth)
    q[0] = weight_variance * input_variance + bias_variance
    for layer in range(1, depth):
        q[layer] = next_variance(activation, q[layer - 1], weight_variance, bias_variance)
    return q


def log_gradients(
    activation: str, weight_variance: float, depth: int, input_variance: float = 1.0, bias_variance: float = 0.0
) -> np.ndarray:
    """ln E[delta_l^2] of layers 1 ... depth, less that of the last layer, by the finite-depth product. `[depth]`, nats.

    Unlike ln chi_1 at the fixed point, it holds where q still moves (tanh at sigma_w^2 = 1, GELU).
    """
    q = variances(activation, weight_variance, depth, input_variance, bias_variance)
    factors = [math.log(chi(activation, value, weight_variance)) for value in q[:-1]]
    return np.append(np.cumsum(factors[::-1])[::-1], 0.0)


def limit_variance(activation: str, weight_variance: float, bias_variance: float = 0.0, start: float = 1.0) -> float:
    """Where q goes with depth: a fixed point, 0 or infinity (reported when q passes 1e-12 or 1e12)."""
    q = start
    for _ in range(5_000):
        after = next_variance(activation, q, weight_variance, bias_variance)
        if after < 1e-12:
            return 0.0
        if after > 1e12:
            return math.inf
        if abs(after - q) <= 1e-13 * q:
            return after
        q = after
    return q


def chi_1(activation: str, weight_variance: float, bias_variance: float = 0.0) -> float:
    """chi at the limit of q: the factor per layer, squared, deep inside a network.

    tanh near criticality creeps towards 0 as 1/l; what is returned there is chi after 5,000 layers.
    """
    q = limit_variance(activation, weight_variance, bias_variance)
    return chi(activation, min(max(q, 1e-16), 1e16), weight_variance)


def depth_scale(activation: str, weight_variance: float, bias_variance: float = 0.0) -> float:
    """Layers over which the squared gradient changes e-fold, 1 / |ln chi_1|; infinite where chi_1 = 1."""
    rate = abs(math.log(chi_1(activation, weight_variance, bias_variance)))
    return math.inf if rate < 1e-9 else 1.0 / rate


def dead_network(width: int, depth: int) -> float:
    """Chance that a bias-free ReLU network of `depth` hidden layers of `width` is silent for one given input.

    A layer whose input is not zero has all its pre-activations negative with chance 2^-width (weights symmetric about
    0), and a silent layer silences all after it: P = 1 - (1 - 2^-width)^depth. Lu et al. 2020 (arXiv:1903.06733) bound
    the chance of silence for every input from above with the same expression.
    """
    return -math.expm1(depth * math.log1p(-(2.0**-width)))


def block_growth(variance: float) -> float:
    """Factor by which a block ``x + W_2 relu(W_1 x)`` multiplies E[x^2]: 1 + variance.

    W_1 has variance 2 / fan_in, W_2 ``variance`` / fan_in. W_2 is independent of x and W_1 and of mean zero, so the
    cross term is nil; E relu(W_1 x)^2 is half of E (W_1 x)^2 = 2 E x^2 because W_1 x is symmetric. Exact at every
    width.
    """
    return 1.0 + variance


def plain_gradient_drift(width: int, weight_variance: float = 2.0) -> float:
    """Expected change of log |delta|^2 per layer toward the input in a plain ReLU stack without biases, in nats.

    A step back multiplies |delta|^2 by (s / n) sum_i b_i z_i^2 over n units, with s the ``weight_variance``, b a fair
    coin (is the unit active?) and z standard normal: mean s / 2 and relative variance (2 E z^4 - 1) / n = 5 / n. The
    mean of its logarithm is log(s / 2) - 5 / (2 n) to first order in 1 / n: at He's 2 a narrow stack vanishes although
    the mean of |delta|^2 stays (compare Hanin and Nica 2020).
    """
    return math.log(weight_variance / 2.0) - 5.0 / (2.0 * width)
