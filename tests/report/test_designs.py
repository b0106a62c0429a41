"""The table of a study's designs."""

from claimcheck.report import pages
from claimcheck.report.gather import PartView
from claimcheck.spec.parts import Factor, ScaledPart


def test_units_are_said_of_each_data_set_where_they_differ():
    factors = {"dataset": Factor(values=["digits", "mnist1d_pool"]), "width": Factor(values=[4, 8, 16])}
    alike = PartView(ScaledPart(name="training", factors=factors, seeds=5))
    uneven = PartView(ScaledPart(name="training", factors=factors, seeds=5, seeds_on={"digits": 2, "mnist1d_pool": 5}))
    assert (alike.units, alike.models) == ("5", 30)
    assert (uneven.units, uneven.models) == ("2 on digits, 5 on MNIST-1D", 21)


def test_settings_name_the_data_sets_that_are_used_and_long_ones_stand_once():
    settings = {
        "examples": {"mnist1d_pool": {"train": 300}, "fashion_mnist": {"train": 9}},
        "cifar10": {"width": 3},
        "kept": {f"all_but_{letter * 9}": [letter] for letter in "abcd"},
        "left_out": {f"all_but_{letter * 30}": [letter] for letter in "abcdefghijkl"},
    }
    part = ScaledPart(name="large_p", factors={"dataset": Factor(values=["mnist1d_pool"])}, settings=settings, seeds=2)
    kept = ", ".join(f"all but {letter * 9} ({letter})" for letter in "abcd")
    for above, told in (([], kept), ([PartView(part)], "as for large p")):
        words = pages.fixed(PartView(part), above).replace("\\", "")
        assert words == f"*examples* MNIST-1D (train 300); *kept* {told}; *left out* as in study.yaml"
