"""Reading sweeps and cells through the API."""

from loretta_core.config import load_sweep
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.record_files import RECORD_NAME
from tests.services.conftest import SWEEP


def test_sweeps_and_cells_are_read(api):
    listed = api.get("/api/v1/sweeps").json()
    assert [(each["name"], each["finished"], each["total"]) for each in listed["sweeps"]] == [("small", 2, 2)]
    page = api.get("/api/v1/sweeps/small/cells", params={"limit": 1}).json()
    assert (page["total"], page["next_offset"], len(page["cells"])) == (2, 1, 1)
    rest = api.get("/api/v1/sweeps/small/cells", params={"limit": 1, "offset": 1}).json()
    assert rest["next_offset"] is None
    only = api.get("/api/v1/sweeps/small/cells", params={"method": "lora", "sort": "score", "descending": True}).json()
    assert [cell["labels"]["method"] for cell in only["cells"]] == ["lora"]
    cell = api.get(f"/api/v1/cells/{only['cells'][0]['cell_id'][:8]}").json()
    assert cell["record"]["score"]["value"] == 0.9
    assert cell["reproduce"].startswith("loretta run --set")
    assert api.get("/api/v1/sweeps/small/comparison").json()["pareto"].keys() == {"trainable_params", "train_seconds", "peak_memory_bytes", "forwards"}
    assert r"\toprule" in api.get("/api/v1/sweeps/small/table", params={"format": "latex"}).text


def test_a_sweep_with_a_cell_that_was_stopped_early_is_validated(api, results, sweep_file):
    cell = load_sweep(sweep_file).cells[0]
    (results / "cells" / cell.cell_id / RECORD_NAME).unlink()
    write_early_stop(EarlyStop(cell_id=cell.cell_id, reason="others did better", stopped_at="now"), results, name="small")
    answer = api.post("/api/v1/sweeps/validate", json={"toml": SWEEP + "[early_stopping]\nkeep = 3\n"})
    assert answer.status_code == 200
    assert [each["status"] for each in answer.json()["cells"]] == ["stopped early", "finished"]
