"""The trial's side of the queue, without Ray. (On a real actor: tests/jobs/test_sweep.py.)"""

import subprocess
import sys

from jobs.execution.queue_client import QueueClient
from jobs.failures.outcome import Outcome
from tests.paths import ROOT


class Queue:
    """Stands in for the handle: every cell is finished at once."""

    def run(self, cells):
        return (Outcome(cell_id, "finished", message=cell_json) for cell_id, cell_json in cells)


def test_a_trial_queues_its_cells_and_gets_an_outcome_of_each(cell):
    cells = [cell("seed=0"), cell("seed=1")]
    outcomes = list(QueueClient(Queue()).run(cells))
    assert [(outcome.cell_id, outcome.message) for outcome in outcomes] == [(each.cell_id, each.to_json()) for each in cells]


def test_a_trial_does_not_import_torch():
    code = "import sys, jobs.execution.queue_client; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"
