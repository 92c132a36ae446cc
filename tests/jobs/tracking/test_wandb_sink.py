"""W&B by its own library, offline, read back from the file that `wandb sync` sends."""

import pytest

from jobs.failures.outcome import Outcome
from jobs.tracking.sinks import open_sinks
from loretta_core.store.notes.sent import find_sent

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_wandb_gets_a_run_per_cell_offline_and_a_second_time_in_its_place(trained, sweep, monkeypatch):
    pytest.importorskip("wandb", reason="pip install 'loretta-on-ray[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for _ in range(2):
        (sink,) = open_sinks(["wandb"], sweep="small", out=trained)
        for cell in sweep.cells:
            opened = sink.open_cell(cell)
            opened.end_run(Outcome(cell.cell_id, "finished"))
            assert opened.problem == ""
    names = sorted(path.name.split("-small-")[1] for path in (trained / "wandb").glob("offline-run-*"))
    assert names == sorted(cell.cell_id for cell in sweep.cells)
    assert wandb_history(trained, sweep.cells[0].cell_id)["train_loss"] == 2
    assert find_sent(trained / "cells" / sweep.cells[0].cell_id, sink="wandb", to=str(trained.resolve() / "wandb"), sweep="small")


BLOCK = 32768


def wandb_history(out, cell_id) -> dict[str, int]:
    """Metric → number of its values in the file that `wandb sync` reads: a header of 7 bytes, then blocks of pieces (checksum, length, kind, data)."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = (out / "wandb").glob(f"offline-run-*-{cell_id}/*.wandb")
    data, place, whole = path.read_bytes(), 7, b""
    counts: dict[str, int] = {}
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last piece
            for item in Record.FromString(whole).history.item:
                name = item.key or ".".join(item.nested_key)
                counts[name] = counts.get(name, 0) + 1
            whole = b""
    return counts
