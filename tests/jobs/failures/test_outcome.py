"""Outcomes as they travel, and the one outcome of several ranks."""

import json
import pickle

import pytest

from jobs.failures.outcome import Outcome, merge_outcomes


def test_an_outcome_travels():
    outcome = Outcome("c", "failed", kind="nan", message="m", trace="t", seconds=1.5)
    assert Outcome(**json.loads(json.dumps(outcome.to_dict()))) == outcome
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301 - our own bytes


FINE, STOPPED, BROKEN = Outcome("c", "finished", seconds=3.0), Outcome("c", "interrupted", message="stop"), Outcome("c", "failed", kind="nan", message="nan")


@pytest.mark.parametrize(
    ("ranks", "status", "message"),
    [
        ([FINE, FINE], "finished", ""),
        ([FINE, BROKEN], "failed", "rank 1 of 2: nan"),
        ([STOPPED, FINE], "interrupted", "rank 0 of 2: stop"),
        ([STOPPED, BROKEN, FINE], "failed", "rank 1 of 3: nan"),
        ([BROKEN], "failed", "nan"),
    ],
)
def test_a_failure_on_any_rank_is_the_outcome_of_all(ranks, status, message):
    outcome = merge_outcomes(ranks)
    assert (outcome.status, outcome.message) == (status, message)
