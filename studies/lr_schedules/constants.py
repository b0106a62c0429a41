"""What runs, statistics and figures of this study share."""

import math

GUESSING = math.log(10.0)  # loss of ten equally likely classes, nats
BEST_RATE = 0.08  # constant learning rate that was best on pilot seeds, as study.yaml says
RECIPES = {  # name -> schedule of claimcheck.engine.schedules, share of warmup
    **{name: (name, 0.0) for name in ("constant", "step", "linear", "wsd", "cosine")},
    "warmup_cosine": ("cosine", 0.1),
}
