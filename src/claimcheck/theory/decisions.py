"""Decisions by a threshold on a probability: the cheapest threshold, and what an alarm is worth where the ill are rare.

Elkan 2001, The foundations of cost-sensitive learning, IJCAI. Pure formulas; knows no study.
"""

from __future__ import annotations


def bayes_threshold(miss: float) -> float:
    """The probability above which an alarm is cheaper: 1 / (1 + miss).

    Args:
        miss: cost of a missed case, where a false alarm costs 1 and right answers cost nothing.
    """
    return 1 / (1 + miss)


def predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Share of alarms that are right, by Bayes' rule; NaN where there are no alarms.

    Args:
        sensitivity: share of cases with an alarm. specificity: share of others without.
        prevalence: share of cases in the population.
    """
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    return right / (right + wrong) if right + wrong else float("nan")
