"""The lines with which a sweep starts."""

from pathlib import Path

from jobs.console.start_lines import start_lines
from jobs.storage.ledger import SweepStatus
from loretta_core.config import SweepConfig
from tests.jobs.synthetic import finished_record


def test_a_finished_sweep_has_nothing_to_run(cell):
    status = SweepStatus({cell().cell_id: finished_record(cell())}, {}, {})
    lines = start_lines(SweepConfig(name="small", cells=(cell(),)), status, stopped=0, out=Path("out"))
    assert list(lines) == ["sweep small: 1 of 1 cell finished, nothing to run → out"]


def test_everything_that_is_not_as_usual_is_said(cell):
    cells = [cell(f"seed={seed}") for seed in range(5)]
    config = SweepConfig(name="small", cells=cells, duplicates=("lora · seed 0",), skipped=(("bitfit on toy-llama", "it has no biases"),))
    finished, failed = finished_record(cells[0]), finished_record(cells[1]).model_copy(update={"status": "failed"})
    damaged, unscored = {cells[2].cell_id: "record.json: not a complete record"}, {cells[3].cell_id: finished_record(cells[3])}
    status = SweepStatus({cells[0].cell_id: finished}, {cells[1].cell_id: failed}, damaged, unscored)
    assert list(start_lines(config, status, stopped=1, out=Path("out"))) == [
        "sweep small: 1 of 5 cells finished, 1 stopped early, 3 to run → out",
        "duplicate cell, runs once: lora · seed 0",
        "skipped: bitfit on toy-llama: it has no biases",
        "runs again: record.json: not a complete record",
        "1 cell already trained: only the test rows are scored",
        "1 cell that failed last time will be tried again",
    ]


def test_zeroth_order_from_a_random_head_is_cautioned_against_before_it_runs(cell):
    cells = [cell("trainer=zo_sgd", "task.objective=head", f"seed={seed}") for seed in range(2)]
    lines = list(start_lines(SweepConfig(name="small", cells=cells), SweepStatus({}, {}, {}), stopped=0, out=Path("out")))
    assert lines[1:] == ['caution: zeroth-order training of a fresh classification head rarely learns; use task.objective = "prompt"']
