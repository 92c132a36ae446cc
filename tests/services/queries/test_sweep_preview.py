"""A sweep before it starts: the status of its cells, and its predicted cost on devices."""

import pytest

from loretta_core.config import load_sweep
from loretta_core.errors import ConfigError
from loretta_core.store.record_files import RECORD_NAME, read_record, write_record
from loretta_core.store.records import Score
from services.queries.sweep_preview import cell_status, predict_on_devices, preview_cells
from tests.services.conftest import SWEEP


def test_the_status_of_a_cell_comes_from_its_record(results, sweep_file):
    sweep_file.write_text(SWEEP + "seed = [0, 1]\n")
    sweep = load_sweep(sweep_file)
    for cell in sweep.cells:
        assert cell_status(cell, out=results) == ("finished" if cell.seed == 0 else "new")
        assert cell_status(cell, out=results, stopped_early=True) == ("finished" if cell.seed == 0 else "stopped early")
    (results / "cells" / sweep.cells[0].cell_id / RECORD_NAME).write_text("{")
    assert cell_status(sweep.cells[0], out=results) == "damaged"
    (results / "cells" / sweep.cells[0].cell_id / RECORD_NAME).unlink()
    (results / "cells" / sweep.cells[0].cell_id / RECORD_NAME).mkdir()
    assert cell_status(sweep.cells[0], out=results) == "damaged"


def test_a_trial_of_another_sweep_lacks_its_test_score(results, sweep_file):
    (cell, *_) = load_sweep(sweep_file).cells
    directory = results / "cells" / cell.cell_id
    write_record(read_record(directory).model_copy(update={"score": Score(validation=0.9)}), directory)
    assert cell_status(cell, out=results) == "unscored"
    assert cell_status(cell.model_copy(update={"score_test": False}), out=results) == "finished"


def test_a_preview_has_what_the_api_shows(results, sweep_file):
    previews = [preview.to_json() for preview in preview_cells(load_sweep(sweep_file), out=results)]
    assert [(each["status"], each["trainable_params"], each["refusal"]) for each in previews] == [("finished", 16_384, None), ("finished", 9_728, None)]


def test_predictions_are_ordered_by_device_then_cell(sweep_file):
    sweep = load_sweep(sweep_file)
    rows = predict_on_devices(sweep, devices=["a100-80gb", "cpu"])
    assert [(row.device, row.cell_id) for row in rows] == [(device, cell.cell_id) for device in ("a100-80gb", "cpu") for cell in sweep.cells]
    with pytest.raises(ConfigError, match="no device given"):
        predict_on_devices(sweep, devices=[])
