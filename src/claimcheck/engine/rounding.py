"""Make a CPU's matrix products round the same way wherever their operands lie in memory.

Intel's MKL, which torch uses, picks instructions by the alignment of each matrix: a network's products then depend on
its place in the ensemble (measured: 143 of 840 small batched products changed bits when the batch was reversed). Its
conditional numerical reproducibility mode removes that, and with the AVX2 code path makes products equal between
processors too; it costs nothing measurable at the sizes used here. MKL reads the variable at its first use, so this
module is imported before any tensor is multiplied. The command settles it, too; a value that is set is left alone.

Where else bits could depend on company, and what is done about it:

- ``torch.sigmoid`` and ``silu`` round the last few elements of a tensor, which their vector loop leaves over, in a
  different way: the networks use :class:`Sigmoid` and :class:`Swish` below, in which every element takes one path;
- the batch-norm kernel for vectors sums its gradients in blocks of channels that straddle networks: the networks use
  :class:`claimcheck.engine.layers.BatchNorm1d`, the same formula in elementwise operations and sums over the batch;
- convolutions, and batch norm of images, take another kernel when there is one network only: an ensemble of one is
  computed as two twins, and one is dropped (``train``, ``Ensemble.map``);
- more than one thread splits sums differently: one thread a job.
"""

from __future__ import annotations

import os

os.environ.setdefault("MKL_CBWR", "AVX2")

import torch
from torch import Tensor, nn


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), with x held above -40 (where the function is 4e-18) so that gradients stay finite."""
    return torch.reciprocal(1.0 + torch.exp(-x.clamp(min=-40.0)))


class Sigmoid(nn.Sigmoid):
    """Logistic function."""

    def forward(self, input: Tensor) -> Tensor:
        return sigmoid(input)


class Swish(nn.SiLU):
    """``x * sigmoid(x)`` (Ramachandran et al. 2017; Elfwing et al. 2018)."""

    def forward(self, input: Tensor) -> Tensor:
        return input * sigmoid(input)
