"""The table of a study's designs."""

from claimcheck.report.gather import PartView
from claimcheck.spec.parts import Factor, ScaledPart


def test_units_are_said_of_each_data_set_where_they_differ():
    factors = {"dataset": Factor(values=["digits", "mnist1d_pool"]), "width": Factor(values=[4, 8, 16])}
    alike = PartView(ScaledPart(name="training", factors=factors, seeds=5))
    uneven = PartView(ScaledPart(name="training", factors=factors, seeds=5, seeds_on={"digits": 2, "mnist1d_pool": 5}))
    assert (alike.units, alike.models) == ("5", 30)
    assert (uneven.units, uneven.models) == ("2 on digits, 5 on MNIST-1D", 21)
