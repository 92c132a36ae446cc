"""The results that earlier starts left: what is over, what is finished, and with what running cells are compared."""

from jobs.orchestration.prior_results import read_prior_results
from jobs.storage.ledger import read_status
from loretta_core.config import SweepConfig
from loretta_core.config.sweep.limits import EarlyStopping
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import write_record
from tests.jobs.synthetic import finished_record


def prior(cells, out, **settings):
    config = SweepConfig(name="small", cells=cells, **settings)
    return read_prior_results(config, out=out, known=read_status(out, []))


def test_finished_and_stopped_cells_are_over(cell, out):
    cells = [cell(f"seed={seed}") for seed in range(3)]
    write_record(finished_record(cells[0]), cell_directory(out, cells[0].cell_id))
    write_early_stop(EarlyStop(cell_id=cells[1].cell_id, reason="", points=((0.1, 0.3),), stopped_at=""), out, name="small")
    found = prior(cells, out)
    assert found.over == {cells[0].cell_id, cells[1].cell_id}
    assert found.finished(cells) == [cells[0]]


def test_only_early_stopping_needs_the_scores_of_earlier_cells(cell, out):
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    assert prior([cell()], out).asha_history == []
    assert [each for each, _ in prior([cell()], out, early_stopping=EarlyStopping()).asha_history] == [cell()]
