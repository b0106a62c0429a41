"""The update as printed and as published against torch's, and decay without a gradient; in float64."""

import torch


def update(weights, gradients, settings, *, corrected):
    """Weights after each of the gradients ``[steps, n]`` by the update of AdamW; ``[steps + 1, n]``.

    m and v are running means of gradients and of their squares; w <- w - η m' / (sqrt(v') + ε) - η λ w, where
    m' = m / (1 - β₁^t) and, `corrected`, v' = v / (1 - β₂^t), else v itself, as the lecture prints it.
    """
    beta1, beta2 = settings.betas
    mean, square, path = torch.zeros_like(weights), torch.zeros_like(weights), [weights]
    for t, gradient in enumerate(gradients, start=1):
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        seen = square / (1 - beta2**t) if corrected else square
        step = mean / (1 - beta1**t) / (seen.sqrt() + settings.eps)
        weights = weights - settings.rate * step - settings.rate * settings.decay * weights
        path.append(weights)
    return torch.stack(path)


def torch_path(kind, weights, gradients, settings, **options):
    """The same by an optimiser of torch."""
    weights = weights.clone().requires_grad_()
    optimizer = kind(
        [weights], lr=settings.rate, betas=tuple(settings.betas), eps=settings.eps, weight_decay=settings.decay,
        **options,
    )  # fmt: skip
    path = [weights.detach().clone()]
    for gradient in gradients:
        weights.grad = gradient.clone()
        optimizer.step()
        path.append(weights.detach().clone())
    return torch.stack(path)


def identities(settings, generator):
    """What the study's facts are about; see the predictions of its part `identities`."""
    drawn = torch.randn(settings.steps + 1, settings.weights, generator=generator).double()
    start, gradients = drawn[0], drawn[1:]
    expected = torch_path(torch.optim.AdamW, start, gradients, settings)
    published, printed = (update(start, gradients, settings, corrected=each) for each in (True, False))
    first = printed[1] - start * (1 - settings.rate * settings.decay)
    still = torch.zeros(settings.steps, 2, dtype=torch.float64)
    sizes = torch.tensor([1.0, 100.0], dtype=torch.float64)
    adamw, adam = (torch_path(kind, sizes, still, settings)[-1] for kind in (torch.optim.AdamW, torch.optim.Adam))
    law = (1 - settings.rate * settings.decay) ** settings.steps
    return {
        "published_difference": float((published - expected).abs().max() / expected.abs().max()),
        "printed_difference": float((printed - expected).abs().max() / expected.abs().max()),
        "first_step": float(first.abs().median() / settings.rate),
        "adamw_left": float((adamw / sizes / law).max()),
        "adam_lost": float(((sizes - adam) / (settings.rate * settings.steps)).min()),
        "adam_lost_ratio": float((sizes[1] - adam[1]) / (sizes[0] - adam[0])),
    }
