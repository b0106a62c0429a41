"""The layers written out for the sake of rounding are torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from claimcheck.engine import layers, rounding


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_batch_norm_is_torchs(mode: str) -> None:
    ours, theirs = layers.BatchNorm1d(7).double(), nn.BatchNorm1d(7).double()
    for step in range(3):
        for layer in (ours, theirs):
            layer.train(mode == "train" or step < 2)
        x = torch.randn(11, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(step)) * 2.0 + 1.0
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize(("ours", "theirs"), [(rounding.Sigmoid(), nn.Sigmoid()), (rounding.Swish(), nn.SiLU())])
def test_logistic_activations_are_torchs_with_finite_gradients(ours: nn.Module, theirs: nn.Module) -> None:
    x = torch.linspace(-100, 100, 2001, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-15, rtol=1e-12)
    (mine,) = torch.autograd.grad(ours(x).sum(), x)
    (reference,) = torch.autograd.grad(theirs(x).sum(), x)
    torch.testing.assert_close(mine, reference, atol=1e-15, rtol=1e-12)
