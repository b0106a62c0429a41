"""What a unit collects: its own examples, images turned round, and data with sources (writers, objects recorded often)."""

import functools

import numpy as np
import torch
import torch.nn.functional as F

from claimcheck.data import pools
from claimcheck.data.draws import draw_each

BLOCKS = (0, 130, 256, 386, 516, 646, 776, 915, 1029, 1157, 1287, 1415, 1545, 1667, 1797)
"""Where in scikit-learn's file of digits a new form begins: with 0 to 9 three times in one hand, but for a few digits."""


def examples(context, name, seed, count):
    """The first `count` examples of a unit's own random order, on the CPU: x [count, ...] and y [count].

    The setting `shrink` averages squares of so many by so many pixels.
    """
    rows = draw_each(context, name, [int(seed)], train=count, test=0).train[0].cpu()
    x, y = _pool(name, context.data_dir, context.settings[name].get("shrink", 1))
    return x[rows], y[rows]


@functools.lru_cache(maxsize=4)
def _pool(name, data_dir, shrink):
    """Inputs and labels that units draw from, images shrunk once for all."""
    pool = pools.load(name, data_dir)
    return pool.x_train if shrink == 1 else F.avg_pool2d(pool.x_train, shrink), pool.y_train


def cut(x, y, **sizes):
    """Sets of the given sizes, one behind another: name -> columns x and y."""
    starts = np.cumsum([0, *sizes.values()])
    return {name: {"x": x[a : a + n], "y": y[a : a + n]} for (name, n), a in zip(sizes.items(), starts)}


def rotated(images, degrees):
    """Images [N, 1, H, W] turned about their centre by `degrees` [N], bilinearly, dark where nothing was."""
    if not len(images):  # a share that rounds to no image
        return images
    angle = torch.deg2rad(degrees.to(images))
    cosine, sine, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    matrix = torch.stack([torch.stack([cosine, -sine, none], 1), torch.stack([sine, cosine, none], 1)], 1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def by_source(context, name, seed):
    """Examples x, y of a unit and the source of each: the form that a digit stands on, or the object recorded.

    Digits are all that there are; elsewhere the unit draws objects, and each is recorded several times, moved by a few
    places and with noise.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        raw = load_digits()
        source = np.searchsorted(BLOCKS, np.arange(len(raw.target)), side="right") - 1
        return torch.tensor(raw.images / 16.0, dtype=torch.float32)[:, None], torch.tensor(raw.target), source
    sizes = context.settings[name]
    x, y = examples(context, name, seed, sizes["objects"])
    rng, source = context.numpy_generator(seed, "recordings"), np.repeat(np.arange(sizes["objects"]), sizes["each"])
    recorded = moved(x[source], sizes["reach"], rng)
    noise = sizes["noise"] * rng.standard_normal(recorded.shape)
    return recorded + torch.from_numpy(noise).float(), y[source], source


def moved(x, reach, generator):
    """Examples [N, ...] moved around the end of every axis by a whole number of places, at most `reach` each way."""
    for axis in range(1, x.dim()):
        steps = generator.integers(-reach, reach + 1, (len(x), 1))
        places = torch.from_numpy((np.arange(x.shape[axis]) + steps) % x.shape[axis])
        shape = [1] * x.dim()
        shape[0], shape[axis] = places.shape
        x = x.take_along_dim(places.view(shape), axis)
    return x


def inside_and_outside(source, inside, outside, generator, classes=None):
    """Rows in random order of the first sources of a random order, and of its last; `inside`, `outside` are shares.

    Given the class of every row, of sources that hold one class each, the first begin with one of each class and go on
    with as many of each as its share of them all.
    """
    names = generator.permutation(np.unique(source))
    rows = generator.permutation(len(source))
    first, last = np.split(names, [len(names) - round(outside * len(names))])
    if classes is not None:
        own = np.array([classes[source == name][0] for name in first])
        passed = [(own[:place] == label).sum() / (own == label).sum() for place, label in enumerate(own)]
        first = first[np.argsort(passed, kind="stable")]
    chosen = first[: round(inside * len(names))], last
    return tuple(rows[np.isin(source[rows], each)] for each in chosen)
