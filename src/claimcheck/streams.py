"""Random streams named by (study, seed, purpose), and by nothing else.

A draw never depends on the shard, the position in an ensemble, its size or the arm: arms of one seed are paired,
and a run's result does not depend on its company. Nothing global is seeded.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import torch

PILOT_SEED = 10_000
"""The first pilot seed: settings are chosen on the block that begins here, and no claim is judged on it."""


POWER_SEED = 20_000
"""The first seed of the pilots that tell how often a prediction is true (`claimcheck power`)."""

FIRST_BLOCK = 100_000
"""The first seed that a registration's block may begin with; the first registrations were judged on seeds from 0."""


def key(study: str, seed: int, purpose: str) -> int:
    """A 63-bit integer that names the stream: SHA-256 of the three names, so that streams are unrelated."""
    digest = hashlib.sha256(f"{study}\x1f{int(seed)}\x1f{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(study: str, seed: int, purpose: str) -> torch.Generator:
    """A fresh CPU generator (Mersenne Twister) at the beginning of the named stream."""
    import torch

    return torch.Generator(device="cpu").manual_seed(key(study, seed, purpose))


def numpy_generator(study: str, seed: int, purpose: str) -> numpy.random.Generator:
    """A fresh NumPy generator (PCG64) at the beginning of the named stream."""
    import numpy

    return numpy.random.Generator(numpy.random.PCG64(key(study, seed, purpose)))
