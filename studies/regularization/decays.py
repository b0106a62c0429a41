"""Weight decay and L2 penalties under torch's own optimisers, without a data set: identities, in float64."""

import torch
from torch import nn


def sgd_difference(settings, generator):
    """The greatest difference, over the weights' greatest size, of three ways to decay the weights of a regression.

    SGD with `weight_decay`; SGD on the loss with a penalty of λ/2 times the squared norm; and SGD whose weights are
    multiplied by 1 - ηλ before each step.
    """
    rate, decay = settings.rate, settings.decay
    x, y, start = (torch.randn(*shape, 8, generator=generator).double() for shape in ((64,), (1,), (1,)))
    ends = []
    for way in ("decay", "penalty", "shrink"):
        weights = start.clone().requires_grad_()
        optimizer = torch.optim.SGD([weights], lr=rate, weight_decay=decay if way == "decay" else 0.0)
        for _ in range(settings.steps):
            optimizer.zero_grad()
            loss = (x @ (weights - y).T).square().mean()
            (loss + decay / 2 * weights.square().sum() if way == "penalty" else loss).backward()
            if way == "shrink":
                with torch.no_grad():
                    weights *= 1 - rate * decay
            optimizer.step()
        ends.append(weights.detach())
    size = max(float(end.abs().max()) for end in ends)
    return max(float((end - ends[0]).abs().max()) for end in ends) / size


def shrinkage_ratio(kind, settings, generator, **options):
    """By how much more the decay shrinks a weight than one whose gradients are `times` as large.

    Two weights that begin at 1 get the same random gradients of mean zero, one of them `times` as large. What the decay
    takes from each is where it ends without, less where it ends with it.
    """
    gradients = torch.randn(settings.steps, 1, generator=generator).double() * torch.tensor([1.0, settings.times])
    ends = []
    for decay in (0.0, settings.small_decay):
        weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
        optimizer = kind([weights], lr=settings.rate, weight_decay=decay, **options)
        for gradient in gradients:
            weights.grad = gradient.clone()
            optimizer.step()
        ends.append(weights.detach())
    lost = ends[0] - ends[1]
    return float(lost[0] / lost[1])


def scale_difference(settings, generator):
    """The greatest change of a batch-normalised network's outputs, over their size, when hidden weights are multiplied."""
    x, hidden = torch.randn(64, 8, generator=generator).double(), torch.randn(16, 8, generator=generator).double()
    norm = nn.BatchNorm1d(16, eps=1e-12).double()
    plain, scaled = (torch.relu(norm(x @ (factor * hidden).T)).detach() for factor in (1.0, settings.times))
    return float((plain - scaled).abs().max() / plain.abs().max())
