"""MNIST-1D signals in any number: the published transformation of its ten templates (Greydanus 2020), many at once.

The package transforms one signal at a time and draws from NumPy's global generator. Here a generator is passed in and
thousands of signals go through each step together; from the same random numbers come the same signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
from numpy import ndarray

from claimcheck import streams

TRAINING, TEST = 100_000, 10_000
"""Signals in the pool and in its test set. Two units that draw 4,000 each share 160 of them on average."""

AT_ONCE = 10_000
"""Signals transformed together: some 50 MB of working memory."""


@dataclass(frozen=True)
class Variates:
    """Everything random about N signals.

    Attributes:
        labels: int [N], the template of each.
        stretch, gain, tilt: uniform in [0, 1), each [N]: padding behind the template, its height, and shear.
        shift: int [N], places that the padded template is moved round its end.
        smooth, rough: standard normal [N, length]: noise where the template is not, and everywhere.
    """

    labels: ndarray
    stretch: ndarray
    gain: ndarray
    shift: ndarray
    smooth: ndarray
    rough: ndarray
    tilt: ndarray


def pool() -> dict[str, ndarray]:
    """The pool that units draw from, and a test set from another stream: arrays x, y, x_test, y_test.

    As many signals of each class, in random order; mean 0 and standard deviation 1 over all values of the pool, as
    published, and the test set on the same scale.
    """
    x, y = _signals("training", TRAINING)
    x_test, y_test = _signals("test", TEST)
    mean, deviation = x.mean(), x.std()
    scaled = [((each - mean) / deviation).astype(numpy.float32) for each in (x, x_test)]
    return {"x": scaled[0], "y": y, "x_test": scaled[1], "y_test": y_test}


def _signals(purpose: str, count: int) -> tuple[ndarray, ndarray]:
    from mnist1d.data import get_dataset_args

    generator = streams.numpy_generator("mnist1d_pool", 0, purpose)
    labels = generator.permutation(numpy.arange(count) % 10)
    arguments = get_dataset_args()
    pieces = [
        transform(draw(labels[first : first + AT_ONCE], generator, arguments), arguments)
        for first in range(0, count, AT_ONCE)
    ]
    return numpy.concatenate(pieces), labels


def draw(labels: ndarray, generator: numpy.random.Generator, arguments: Any) -> Variates:
    """Random numbers for signals with these labels. `arguments`: the package's."""
    count, length = len(labels), _length(arguments)
    return Variates(
        labels=labels,
        stretch=generator.random(count),
        gain=generator.random(count),
        shift=generator.integers(arguments.max_translation, size=count),
        smooth=generator.standard_normal((count, length)),
        rough=generator.standard_normal((count, length)),
        tilt=generator.random(count),
    )


def transform(variates: Variates, arguments: Any) -> ndarray:
    """The signals, float64 [N, final_seq_length], before they are standardised.

    Padded, dilated, scaled, moved; noise added; sheared; sampled: mnist1d.transform.transform, step by step.
    """
    from mnist1d.transform import interpolate
    from scipy.ndimage import gaussian_filter1d

    length, (low, high) = _length(arguments), arguments.padding
    steps = (variates.stretch * (high - low + 1)).astype(int)
    signals = _dilated(arguments)[variates.labels, steps]
    signals *= (1 + arguments.scale_coeff * (variates.gain - 0.5))[:, None]
    signals = numpy.take_along_axis(signals, (numpy.arange(length) - variates.shift[:, None]) % length, axis=1)
    noise = gaussian_filter1d(arguments.corr_noise_scale * variates.smooth, 2, axis=1)
    signals = numpy.where(signals != 0, signals, noise)
    signals += arguments.iid_noise_scale * variates.rough
    signals -= (arguments.shear_scale * (variates.tilt - 0.5))[:, None] * numpy.linspace(-0.5, 0.5, length)
    return interpolate(signals.T, arguments.final_seq_length).T


def _dilated(arguments: Any) -> ndarray:
    """Each template with each padding, resampled to the common length: [templates, paddings, length]."""
    from mnist1d.data import get_templates
    from mnist1d.transform import interpolate

    low, high = arguments.padding
    length = _length(arguments)
    return numpy.stack(
        [
            [interpolate(numpy.append(template + 1e-8, numpy.zeros(pad)), length) for pad in range(low, high + 1)]
            for template in get_templates()["x"]
        ]
    )


def _length(arguments: Any) -> int:
    return arguments.template_len + arguments.padding[1]
