"""What runs, statistics and figures of this study share."""

import math

GUESSING = math.log(10.0)  # loss of ten equally likely classes, nats
RECIPES = {  # name -> schedule of claimcheck.engine.schedules, share of warmup
    "constant": ("constant", 0.0),
    "step": ("step", 0.0),
    "linear": ("linear", 0.0),
    "wsd": ("wsd", 0.0),
    "cosine": ("cosine", 0.0),
    "warmup_cosine": ("cosine", 0.1),
}
