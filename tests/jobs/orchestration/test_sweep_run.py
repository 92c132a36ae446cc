"""The phases of a sweep whose cells are all finished, or are to be computed again. (Cells that are computed: tests/jobs/test_sweep.py.)"""

import signal

import pytest

from jobs.orchestration.sweep_run import SweepOptions, SweepRun
from jobs.storage.ledger import unfinished
from jobs.tracking.mlflow_setup import connect, default_uri
from jobs.tracking.mlflow_sink import CELL_TAG
from loretta_core.config import SweepConfig
from loretta_core.errors import ConfigError
from loretta_core.store.early_stops import EarlyStop, read_early_stops, write_early_stop
from loretta_core.store.layout import ARRIVED_NAME, cell_directory
from loretta_core.store.manifest import read_manifest, sweep_directory
from loretta_core.store.notes.sent import Sent, note_sent
from loretta_core.store.record_files import write_record
from tests.jobs.synthetic import finished_record


def all_there(out):
    """The note that MLflow in OUT has all of it."""
    return Sent(sink="mlflow", to=default_uri(out), sweep="small")


@pytest.fixture
def start(cell, out):
    """Begin a sweep of two cells that are finished and synced."""
    config = SweepConfig(name="small", cells=(cell("seed=0"), cell("seed=1")))
    for each in config.cells:
        write_record(finished_record(each), cell_directory(out, each.cell_id))
        note_sent(cell_directory(out, each.cell_id), all_there(out))
    sweep_directory(out, name="small").mkdir(parents=True)
    note_sent(sweep_directory(out, name="small"), all_there(out))

    def begin(**options):
        return SweepRun(config, SweepOptions(out=out, **options))

    return begin


def prepared(run):
    run.plan()
    run.prepare(None)
    return run


def test_a_finished_sweep_is_compared(start, out, capsys):
    run = prepared(start())
    run.execute()
    assert run.finish() == 0
    assert "sweep small: 2 of 2 cells finished, nothing to run" in capsys.readouterr().out
    assert list(read_manifest(out, name="small").cells) == [cell.cell_id for cell in run.config.cells]


def test_planning_leaves_everything_as_it_is(start, out):
    before = sorted(out.rglob("*"))
    run = start(rerun=[start().config.cells[0].cell_id])
    run.plan()
    assert sorted(out.rglob("*")) == before
    assert run.rerun == [run.config.cells[0]]


def test_a_cell_to_compute_again_is_missing_and_its_results_are_archived(start, out):
    first = start().config.cells[0]
    run = prepared(start(rerun=[first.cell_id]))
    assert run.prior.over == {run.config.cells[1].cell_id}
    assert unfinished(out, run.config.cells) == [first]
    assert len(list((out / "replaced").iterdir())) == 1
    with pytest.raises(ConfigError, match="--rerun xyz: no cell of this sweep"):
        start(rerun=["xyz"]).plan()


def test_without_early_stopping_notes_of_it_are_deleted(start, out):
    stopped = start().config.cells[0].cell_id
    write_early_stop(EarlyStop(cell_id=stopped, reason="others did better", stopped_at="2026-01-01T00:00:00"), out, name="small")
    assert prepared(start()).prior.stopped == {}
    assert read_early_stops(out, name="small") == {}


def test_a_finished_sweep_that_mlflow_lacks_is_sent(start, out, mlflow_uri, capsys):
    first, _ = start().config.cells
    (cell_directory(out, first.cell_id) / ARRIVED_NAME).unlink()
    run = prepared(start())
    run.execute()
    assert run.finish() == 0
    (found,) = [run for run in connect(mlflow_uri).search_runs(["1", "2"]) if CELL_TAG in run.data.tags]
    assert (found.data.tags[CELL_TAG], found.info.status) == (first.cell_id, "FINISHED")


def test_a_finished_sweep_goes_to_another_server_that_is_named(start, out, dead_server, capsys):
    run = prepared(start(tracking_uri=dead_server))
    run.execute()
    assert run.finish() == 0  # the comparison is there whatever MLflow does
    assert f"MLflow at {dead_server} cannot be used" in capsys.readouterr().out


def test_an_interrupted_sweep_says_how_to_resume(start, capsys):
    run = prepared(start(command="loretta sweep small.toml"))
    run.interrupts.requested.set()
    run.interrupts.signal_number = signal.SIGINT
    assert run.finish() == 130
    assert capsys.readouterr().out.endswith("stopped: 2 of 2 cells are finished and kept; go on with:\n  loretta sweep small.toml\n")
