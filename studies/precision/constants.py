"""Numbers that runs and figures of this study share."""

FIRST_SCALE, PLANTED_SCALE = 10, 40  # log2 of the loss scale at the start, and of the one that is planted
EXPONENTS = range(-45, 6)  # binary exponents that are counted
ZERO = -99  # stands for the exponent of an entry that is exactly zero
