"""The scores of earlier cells: from records, from notes of early stops, from journals. (The actor: tests/jobs/scenarios/test_schedulers.py.)"""

from jobs.scheduling.asha_actor import AshaActor, asha_history, read_points, record_points
from loretta_core.store.early_stops import EarlyStop
from loretta_core.train.sinks import JsonlSink
from tests.jobs.synthetic import finished_record


def test_a_record_has_its_scores_by_share_of_steps(cell):
    record = finished_record(cell())
    curves = {"validation_score": [(0, 0.5), (2, 0.75), (4, 1.0)]}
    record = record.model_copy(update={"cost": record.cost.model_copy(update={"steps": 4}), "curves": curves})
    assert record_points(record) == [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)]
    assert record_points(record.model_copy(update={"cost": record.cost.model_copy(update={"steps": 0})})) == []


def test_a_journal_has_them_without_a_record(tmp_path):
    journal = JsonlSink(tmp_path / "metrics.jsonl")
    journal.log(0, {"validation_score": 0.5, "share_of_steps": 0.0})
    journal.log(5, {"train_loss": 1.0})
    journal.log(9, {"validation_score": 0.6, "share_of_steps": 0.25})
    journal.close("failed", {})
    assert list(read_points(tmp_path / "metrics.jsonl")) == [(0.0, 0.5), (0.25, 0.6)]


def test_the_history_has_finished_cells_and_stopped_ones(cell):
    cells = [cell(f"seed={seed}") for seed in range(3)]
    stop = EarlyStop(cell_id=cells[1].cell_id, reason="", points=((0.1, 0.3),), stopped_at="")
    record = finished_record(cells[0])
    assert asha_history(cells, finished={cells[0].cell_id: record}, stopped={cells[1].cell_id: stop}) == [
        (cells[0], record_points(record)),
        (cells[1], ((0.1, 0.3),)),
    ]


def test_a_score_is_reported_to_the_actor(monkeypatch):
    class Handle:
        """Stands in for Ray's handle: calls answer at once."""

        def __init__(self):
            self.report_score = self

        def remote(self, cell_json, *, share, score):
            return f"{cell_json} {share} {score}"

    monkeypatch.setattr("ray.get", lambda answer: answer)
    assert AshaActor(Handle()).report_score("{}", share=0.5, score=0.7) == "{} 0.5 0.7"
