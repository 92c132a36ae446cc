"""A running cell reports its validation scores, and ends when the answer says why."""

import pytest

from jobs.execution.asha_sink import AshaSink
from jobs.execution.group_comm import SingleProcess
from jobs.failures.outcome import StoppedEarly


class Scores:
    """Stands in for the actor: ends a cell below 0.5."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float, float]] = []

    def report_score(self, cell_json: str, *, share: float, score: float) -> str:
        self.seen.append((cell_json, share, score))
        return "" if score >= 0.5 else "others do better"


def test_only_evaluations_are_reported():
    scores = Scores()
    sink = AshaSink(scores, "{}", SingleProcess())
    sink.log(1, {"train_loss": 0.3})
    sink.log(2, {"validation_score": 0.9, "share_of_steps": 0.25})
    assert scores.seen == [("{}", 0.25, 0.9)]


def test_a_cell_that_others_beat_is_stopped_with_the_reason():
    with pytest.raises(StoppedEarly, match="others do better"):
        AshaSink(Scores(), "{}", SingleProcess()).log(2, {"validation_score": 0.1, "share_of_steps": 0.5})
