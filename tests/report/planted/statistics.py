"""Statistics of the planted study: one number a unit."""


def difference(records, of, less):
    """What the effect of one arm is above that of another."""
    arms = records.pivot(index="seed", columns="arm", values="effect")
    return arms[of] - arms[less]


def arms(records):
    """How many arms a unit has."""
    return records.groupby("seed")["arm"].nunique()
