"""SGD, momentum, Adam and AdamW for an ensemble whose parameters are one matrix ``[R, P]``, a row per network.

Each rule is the textbook's, elementwise, with hyperparameters ``[R, 1]``; tested run by run against ``torch.optim``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from claimcheck.errors import ClaimcheckError, closest

OPTIMIZERS = {"sgd": (), "momentum": ("momentum",), "adam": ("mean", "square"), "adamw": ("mean", "square")}
"""Name of the rule -> names of its state, each a matrix like the parameters."""

State = dict[str, Tensor]


def check_optimizer(optimizer: str) -> None:
    """Refuse the name of a rule that is not here.

    Raises:
        ClaimcheckError: it is not in :data:`OPTIMIZERS`.
    """
    if optimizer not in OPTIMIZERS:
        raise ClaimcheckError(
            "unknown optimizer",
            found=optimizer,
            expected=f"one of {', '.join(OPTIMIZERS)}",
            hint=closest(optimizer, OPTIMIZERS),
        )


def init_state(optimizer: str, parameters: Tensor) -> State:
    """State of zeros, one ``[R, P]`` matrix per slot."""
    return {name: torch.zeros_like(parameters) for name in OPTIMIZERS[optimizer]}


def coefficients(optimizer: str, hyper: Mapping[str, Tensor], multipliers: Tensor) -> dict[str, Tensor]:
    """Everything that a step multiplies by, for all steps, ``[steps, R]`` float64 (views where all steps agree).

    Computed before training and in float64: 1 - beta is lost in float32 (1 - 0.999 has a relative error of 6e-5).

    Args:
        hyper: learning_rate, weight_decay, momentum, beta1, beta2, eps; each ``[R]`` float64.
        multipliers: schedule ``[steps, R]``.
    """
    rate = hyper["learning_rate"] * multipliers
    decay = hyper["weight_decay"].expand_as(rate)
    if optimizer == "sgd":
        return {"rate": rate, "decay": decay}
    if optimizer == "momentum":
        return {"rate": rate, "decay": decay, "momentum": hyper["momentum"].expand_as(rate)}
    t = torch.arange(1, len(multipliers) + 1, dtype=rate.dtype, device=rate.device)[:, None]
    beta1, beta2 = hyper["beta1"], hyper["beta2"]
    return {
        "rate": rate / (1.0 - beta1**t),  # corrects the mean's bias
        "decay": decay if optimizer == "adam" else 1.0 - rate * decay,
        "beta1": beta1.expand_as(rate),
        "beta2": beta2.expand_as(rate),
        "rest1": (1.0 - beta1).expand_as(rate),
        "rest2": (1.0 - beta2).expand_as(rate),
        "scale": (1.0 - beta2**t).sqrt(),  # corrects the square's bias
        "eps": hyper["eps"].expand_as(rate),
    }


def clip(gradient: Tensor, threshold: Tensor) -> Tensor:
    """Scale each member's gradient ``[R, P]`` to a Euclidean norm of at most ``threshold`` ``[R, 1]``.

    As ``torch.nn.utils.clip_grad_norm_`` does for one network, with its 1e-6; infinity leaves a member alone.
    """
    return gradient * share_kept(gradient.square().sum(1, keepdim=True).sqrt(), threshold)


def share_kept(norm: Tensor, threshold: Tensor) -> Tensor:
    """What a gradient of such a norm is multiplied by; 1 without a threshold, even where the norm overflows."""
    return torch.where(threshold.isinf(), 1.0, (threshold / (norm + 1e-6)).clamp(max=1.0))


def update(
    optimizer: str, parameters: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]
) -> tuple[Tensor, State]:
    """One step of every member: new parameters and new state; nothing is changed in place.

    Args:
        parameters, gradient: ``[R, P]``.
        c: this step's rows of :func:`coefficients`, each ``[R, 1]``, in the parameters' dtype.
    """
    if optimizer == "adamw":  # decoupled decay (Loshchilov & Hutter 2019, algorithm 2, as torch scales it: lr * wd)
        parameters = parameters * c["decay"]
    else:  # coupled L2
        gradient = gradient + c["decay"] * parameters
    if optimizer == "sgd":
        return parameters - c["rate"] * gradient, {}
    if optimizer == "momentum":
        velocity = c["momentum"] * state["momentum"] + gradient
        return parameters - c["rate"] * velocity, {"momentum": velocity}
    mean = c["beta1"] * state["mean"] + c["rest1"] * gradient  # Kingma & Ba 2015, algorithm 1
    square = c["beta2"] * state["square"] + c["rest2"] * (gradient * gradient)
    denominator = square.sqrt() / c["scale"] + c["eps"]
    return parameters - c["rate"] * (mean / denominator), {"mean": mean, "square": square}


def update_(optimizer: str, parameters: Tensor, gradient: Tensor, state: State, c: Mapping[str, Tensor]) -> None:
    """The same in place, for parameters of any shape ``[R, ...]`` and coefficients ``[R, 1, ...]``.

    Without a coefficient ``decay`` there is no weight decay.
    """
    if "decay" in c and optimizer == "adamw":
        parameters.mul_(c["decay"])
    elif "decay" in c:
        gradient = torch.addcmul(gradient, parameters, c["decay"])
    if optimizer == "sgd":
        parameters.addcmul_(gradient, c["rate"], value=-1.0)
    elif optimizer == "momentum":
        state["momentum"].mul_(c["momentum"]).add_(gradient)
        parameters.addcmul_(state["momentum"], c["rate"], value=-1.0)
    else:
        mean, square = state["mean"], state["square"]
        mean.mul_(c["beta1"]).addcmul_(gradient, c["rest1"])
        square.mul_(c["beta2"]).addcmul_(gradient.square(), c["rest2"])
        denominator = square.sqrt().div_(c["scale"]).add_(c["eps"])
        parameters.addcdiv_(mean * c["rate"], denominator, value=-1.0)
