"""Statistics of the planted study: one number a unit."""


def arms(records):
    """How many arms a unit has."""
    return records.groupby("seed")["arm"].nunique()
