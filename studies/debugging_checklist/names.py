"""Which host a unit has. Without PyTorch, so that figures can ask, too."""

HOSTS = ("mlp", "cnn", "transformer")


def host_of(seed: int) -> str:
    """The unit's host: each of the three in turn, since every bug in every host for every unit would cost three times as much."""
    return HOSTS[seed % len(HOSTS)]
