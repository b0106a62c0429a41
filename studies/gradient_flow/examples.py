"""The examples of every unit: vectors, drawn from one pool, whose values have mean 0 and standard deviation 1."""

from dataclasses import replace

import pandas as pd
import torch.nn.functional as F

from claimcheck.data.draws import Draws, draw_each


def own_examples(runs: pd.DataFrame, context) -> Draws:
    """What each run's seed draws of the pool of its data set (a static factor).

    Reads the settings `examples` (training examples, a number or one for each data set) and `average_pooling` (by how
    many pixels a side the images of 28 x 28 are averaged). Every test example that there is stays a test example. The
    scaling is the pool's: one mean and one standard deviation over all its values.
    """
    name, settings = runs["dataset"].iloc[0], context.settings
    count = settings.examples if isinstance(settings.examples, int) else settings.examples[name]
    own = draw_each(context, name, runs["seed"], train=count)
    pool = own.pool
    if pool.x_train.shape[-2:] == (28, 28):
        smaller = {side: F.avg_pool2d(getattr(pool, side), settings.average_pooling) for side in ("x_train", "x_test")}
        pool = replace(pool, **smaller)
    return replace(own, pool=pool.rescaled().flat())
