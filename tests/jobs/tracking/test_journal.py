"""Reading a cell's metrics.jsonl while it is written."""

import math

from jobs.tracking.journal import Journal, Point


def test_only_what_is_new_and_complete_is_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    assert journal.new_points() == []
    with path.open("a") as file:
        file.write('{"step": 1, "time": 10.5, "loss": 0.5, "lr": 1e-3}\n{"step": 2, "time": 11')
        file.flush()
        assert journal.new_points() == [Point("loss", 0.5, 10500, 1), Point("lr", 1e-3, 10500, 1)]
        assert journal.new_points() == []
        file.write('.0, "loss": 0.25}\n')
        file.flush()
        assert journal.new_points() == [Point("loss", 0.25, 11000, 2)]


def test_final_numbers_are_marked_and_finite(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "time": 1, "loss": NaN}\n{"status": "finished", "time": 2, "score": 0.9, "ratio": Infinity}\n')
    loss, score = Journal(path).new_points()
    assert (loss.name, loss.final) == ("loss", False)
    assert math.isnan(loss.value)
    assert score == Point("score", 0.9, 2000, 0, final=True)


def test_a_line_torn_by_a_crash_is_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "ti\n{"step": 1, "time": 1, "loss": 1.0}\n')
    assert [point.step for point in Journal(path).new_points()] == [1]
