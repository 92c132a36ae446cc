"""TensorBoard by its own library, and read back by it."""

import pytest

from jobs.sync import sync
from jobs.tracking.tensorboard_sink import TensorboardSweep
from loretta_core.store.manifest import MANIFEST_NAME, read_manifest, sweep_directory
from loretta_core.store.notes.sent import find_sent
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
    pytest.importorskip("tensorboard", reason="pip install 'loretta-on-ray[tensorboard]'")
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
