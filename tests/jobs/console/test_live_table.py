"""The live table: on a terminal only, with the lines above it."""

import os
import pty
import subprocess
import sys

import pytest

from jobs.console.reporter import SweepReporter
from jobs.failures.outcome import Outcome
from tests.jobs.synthetic import finished_record
from tests.paths import ROOT

SHOW = """
import time
from jobs.failures.outcome import Outcome
from jobs.console.reporter import SweepReporter
from loretta_core.config import cell_from_overrides
from tests.jobs.synthetic import finished_record
cells = [cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=lora", "trainer=adam", f"seed={seed}"]) for seed in range(3)]
reporter = SweepReporter(cells)
reporter.on_cells_added(cells, placed=cells, predicted_s={cell.cell_id: 100.0 for cell in cells}, scoring_s={}, roles={})
with reporter.live():
    reporter.on_cell_started(cells[0])
    reporter.on_outcome(Outcome(cells[0].cell_id, "finished", seconds=200.0), finished_record(cells[0]))
    reporter.on_cell_started(cells[1])
    time.sleep(0.7)
reporter.on_message("after")
"""


@pytest.mark.integration
def test_a_terminal_gets_a_table_below_the_lines():
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": "140", "LINES": "40", "TERM": "xterm-256color"}
    process = subprocess.Popen([sys.executable, "-c", SHOW], stdout=slave, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)
    os.close(slave)
    shown = b""
    while chunk := _read(master):
        shown += chunk
    assert process.wait(60) == 0, shown
    text = shown.decode()
    assert "[1/3] toy-bert · toy_sentiment · lora · adam · seed 0: accuracy 0.900 in 3 min 20 s; about 6 min 40 s left" in text
    assert "1 of 3 cells are over" in text
    assert "toy-bert · toy_sentiment · lora · adam · seed 1" in text
    assert "3 min 20 s" in text  # expected of the one that runs: twice the prediction, as of the first
    assert "1 to come; about 6 min" in text
    assert text.rstrip().endswith("after")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's word for the end of a terminal
        return b""


def test_anything_else_gets_plain_lines(cell, capsys):
    cells = [cell("seed=0"), cell("seed=1")]
    reporter = SweepReporter(cells)
    reporter.on_cells_added(cells, placed=cells, predicted_s={each.cell_id: 60.0 for each in cells}, scoring_s={}, roles={})
    with reporter.live():
        reporter.on_cell_started(cells[0])
        reporter.on_outcome(Outcome(cells[0].cell_id, "finished", seconds=30.0), finished_record(cells[0]))
    assert capsys.readouterr().out == "[1/2] toy-bert · toy_sentiment · lora · adam · seed 0: accuracy 0.900 in 30 s; about 30 s left\n"
