"""kill -9 of the driver of a search, half-way: the same command finishes it with the cells that were drawn, and computes none of them twice."""

import json

import pytest

from jobs.storage.ledger import unfinished
from loretta_core.config import load_sweep
from loretta_core.store.layout import cell_directory
from loretta_core.store.search_state import SEARCH_STATE_NAME, restore_search
from tests.jobs.head import stop_all
from tests.jobs.orchestration.test_search_rounds import SWEEP, needs_optuna
from tests.jobs.test_sweep import Place, run, shared, start, wait_until


@needs_optuna
@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("executor", ["inline", "train"])
def test_a_killed_search_goes_on_with_the_same_cells(executor, tmp_path, head):
    here = Place(tmp_path / "synthetic.toml", tmp_path / "out")
    here.file.write_text(SWEEP % [300])  # cells of 1.5 s, whose scores are equal
    command = [*here.command, "--set", f"executor={executor}"]
    notes = here.out / "sweeps" / "synthetic" / SEARCH_STATE_NAME
    process = start(command, shared(head))
    try:
        wait_until(notes.exists, process)  # the first round of suggestions runs
        wait_until(lambda: len(list(here.out.glob("cells/*/record.json"))) >= 4, process)
    finally:
        stop_all(process.pid)
        process.communicate()
    drawn = next(iter(json.loads(notes.read_text())["points"].values()))
    ran = run(command, shared(head))
    assert ran.code == 0, ran.output + ran.errors
    assert "[7/7]" in ran.output
    config = restore_search(load_sweep(here.file), here.out)
    assert len(config.cells) == 7
    assert unfinished(here.out, config.cells) == []
    assert next(iter(config.rounds.drawn.values()))[: len(drawn)] == drawn
    for cell in config.cells:
        directory = cell_directory(here.out, cell.cell_id)
        assert (directory / "attempts.txt").stat().st_mtime <= (directory / "record.json").stat().st_mtime, "it ran again after it had finished"
