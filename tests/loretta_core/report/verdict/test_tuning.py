"""The budget sentence: does the order of the contenders depend on the number of trials?"""

from dataclasses import dataclass

from loretta_core.report.verdict.tuning import budget_sentence


@dataclass(frozen=True)
class Tried:
    """What the sentence reads of a contender."""

    spoken: str
    trial_scores: list[float]


STEADY, WILD = Tried("lora", [0.8, 0.8, 0.8, 0.8]), Tried("ft", [0.1, 0.95, 0.1, 0.95])


def test_a_leader_that_needs_trials():
    said = budget_sentence([STEADY, WILD], algorithm="random")
    assert said == "Who leads by expected best validation score depends on the number of trials: lora from 1 trial on, ft from 2 trials on."


def test_an_order_that_holds():
    low = Tried("ft", [0.1, 0.2, 0.3, 0.2])
    assert budget_sentence([STEADY, low], algorithm="random") == "The order by expected best validation score is the same from 1 to 2 trials."


def test_a_search_that_learns_has_no_expectation():
    assert "not an expectation" in budget_sentence([STEADY, WILD], algorithm="optuna")


def test_few_trials_say_nothing():
    assert budget_sentence([STEADY, Tried("ft", [0.5])], algorithm="random") == ""
