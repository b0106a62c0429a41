"""Names of data sets for reading: one for each, no two alike."""

from __future__ import annotations

from claimcheck.data import downloads, names


def test_every_data_set_has_a_name_of_its_own() -> None:
    assert set(names.TITLES) == set(downloads.NAMES)
    assert len(set(names.TITLES.values())) == len(names.TITLES)
    assert names.title("mnist1d_pool") == "MNIST-1D"


def test_a_studys_own_data_keep_their_words() -> None:
    assert names.title("falling_body") == "falling body"
