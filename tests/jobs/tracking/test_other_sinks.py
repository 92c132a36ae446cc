"""TensorBoard and W&B, each by its own library and, where there is one, read back by it."""

import pytest

from jobs.failures.outcome import Outcome
from jobs.sync import sync
from jobs.tracking.sinks import open_sinks
from jobs.tracking.tensorboard_sink import TensorboardSweep
from loretta_core.store.manifest import MANIFEST_NAME, read_manifest, sweep_directory
from loretta_core.store.sent import find_sent
from loretta_core.train.sinks import JsonlSink

pytestmark = pytest.mark.integration


def name_sinks(out, *names):
    """Let the sweep name these sinks."""
    manifest = read_manifest(out, name="small").model_copy(update={"sinks": names})
    (sweep_directory(out, name="small") / MANIFEST_NAME).write_text(manifest.model_dump_json())


def scalars(directory) -> dict[str, list[int]]:
    """Tag → steps, in the order in which they are read."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader", reason="pip install 'loretta-on-ray[tensorboard]'")
    (path,) = directory.glob("events.*")
    found: dict[str, list[int]] = {}
    for event in loader.LegacyEventFileLoader(str(path)).Load():
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(event.step)
    return found


def test_tensorboard_has_curves_final_numbers_and_settings(trained, sweep):
    name_sinks(trained, "tensorboard")
    sync(trained)
    directories = sorted((trained / "tensorboard" / "small").iterdir())
    assert [path.name.rsplit("-", 1)[0] for path in directories] == ["lora-adam-seed1"] * 2
    found = scalars(directories[0])
    assert (found["train_loss"], found["score"]) == ([1, 2], [0])
    assert "_hparams_/session_start_info" in found
    assert find_sent(trained / "cells" / sweep.cells[0].cell_id, sink="tensorboard", to=str(trained.resolve() / "tensorboard"), sweep="small")


def test_a_killed_process_leaves_nothing_twice_in_tensorboard(cell, out):
    pytest.importorskip("tensorboard", reason="pip install 'loretta-on-ray[tensorboard]'")
    journal = JsonlSink(out / "cells" / cell().cell_id / "metrics.jsonl")
    for steps in (range(3), range(2, 5)):  # the checkpoint was at step 2
        for step in steps:
            journal.log(step, {"train_loss": 1.0})
        TensorboardSweep(out, sweep="small").open_cell(cell()).flush()  # each by another process
    journal.file.close()
    (directory,) = (out / "tensorboard" / "small").iterdir()
    assert scalars(directory)["train_loss"] == [0, 1, 2, 3, 4]


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
