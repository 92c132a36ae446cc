"""A checkpoint gives back what was saved, also one of an earlier version; what is damaged or belongs to another run is ignored."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from loretta_core.train.checkpoint import FileCheckpointer, ModelState
from loretta_core.train.state import TrainingProgress


def state_of(value: float) -> ModelState:
    weight = nn.Parameter(torch.full((3,), value))
    optimizer = torch.optim.Adam([weight], lr=0.05)
    (weight**2).sum().backward()
    optimizer.step()
    return ModelState({"weight": weight}, optimizer)


PROGRESS = TrainingProgress(step=20, best_step=10, best_score=0.5, curves={"train_loss": [(1, 0.7), (20, 0.3)]}, train_s=4.5)


@pytest.fixture
def path(tmp_path):
    """A checkpoint of PROGRESS and of weights near 1."""
    path = tmp_path / "c.safetensors"
    FileCheckpointer(path, identity="toy").save(state_of(1.0), PROGRESS, now=True)
    return path


def test_a_checkpoint_gives_back_progress_weights_and_optimizer(path):
    found = state_of(2.0)
    assert FileCheckpointer(path, identity="toy").restore(found) == PROGRESS
    expected = state_of(1.0)
    assert torch.equal(found.trainable["weight"], expected.trainable["weight"])
    (slot,), (own,) = found.optimizer.state.values(), expected.optimizer.state.values()
    assert all(torch.equal(slot[name], own[name]) for name in own)


def test_a_checkpoint_with_the_old_name_of_the_training_time_is_read(path):
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    info = json.loads(metadata["info"])
    info["progress"]["train_seconds"] = info["progress"].pop("train_s")
    save_file(tensors, path, metadata=metadata | {"info": json.dumps(info)})
    assert FileCheckpointer(path, identity="toy").restore(state_of(2.0)) == PROGRESS


def test_a_damaged_or_foreign_checkpoint_is_ignored(path, caplog):
    assert FileCheckpointer(path, identity="other data").restore(state_of(2.0)) is None
    path.write_bytes(path.read_bytes()[:-100])
    assert FileCheckpointer(path, identity="toy").restore(state_of(2.0)) is None
    assert "belongs to other data" in caplog.text
    assert "is damaged" in caplog.text


def test_a_save_soon_after_the_last_one_is_left_out_unless_now(path):
    checkpointer = FileCheckpointer(path, identity="toy", min_interval_s=3600.0)
    checkpointer.save(state_of(1.0), TrainingProgress(step=30))
    assert FileCheckpointer(path, identity="toy").restore(state_of(2.0)).step == 20
    checkpointer.save(state_of(1.0), TrainingProgress(step=30), now=True)
    assert FileCheckpointer(path, identity="toy").restore(state_of(2.0)).step == 30
