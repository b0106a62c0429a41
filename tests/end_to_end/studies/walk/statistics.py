"""What no measure says here: nothing, but a study may write its statistics by hand."""


def spread(records):
    """End of the walk without drift, by seed."""
    return records[records["drift"] == 0.0].set_index("seed")["end"]
