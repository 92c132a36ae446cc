"""A run is its scalars: replay is bitwise, and a damaged log gives its good prefix."""

import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from loretta_core.errors import OutputError
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.replay_log import STEPS_PER_BLOCK, LogWriter, read_log, replay, weights_sha256

pytestmark = pytest.mark.integration

OPTIMIZERS = {
    "sgd": lambda params: ZOSGD(params, lr=0.05, weight_decay=0.01),
    "signs": lambda params: ZOSGD(params, lr=0.05, distribution="rademacher"),
    "fzoo": lambda params: ZOSGD(params, lr=0.01, scaling="std", num_directions=3, estimator="one_sided"),
    "meazo": lambda params: ZOSGD(params, lr=0.01, scaling="rms"),
    "momentum": lambda params: ZerothOrder(torch.optim.SGD(params, lr=0.02, momentum=0.9)),
    "adam": lambda params: ZerothOrder(torch.optim.AdamW(params, lr=0.01)),
    "clipped": lambda params: ZerothOrder(torch.optim.AdamW(params, lr=0.01), clip=4.0),
    "schedule of directions": lambda params: ZOSGD(params, lr=0.02, directions_at=lambda step: 1 + step // 100),
}
HEADER = {"what": "a test"}


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(4, 3), (5,)]]


def run(optimizer, params, *, steps, writer=None, snapshots=()):
    """Noisy quadratic with a loss that is not finite every 50th step, outliers, and a falling learning rate."""
    optimizer.on_step = writer
    kept = {}
    for step in range(optimizer.steps_taken, steps):
        set_lr(optimizer, step)
        optimizer.step(lambda step=step: float("inf") if step % 50 == 17 else (200 if step % 60 == 23 else 1) * bowl(params, step))
        if step + 1 in snapshots:
            kept[step + 1] = optimizer.theta.clone()
    return kept


def bowl(params, step):
    return sum(((p - 0.1 * (step % 7)) ** 2).sum() for p in params)


def set_lr(optimizer, step):
    for group in optimizer.param_groups:
        group["lr"] = 0.05 / (1 + step / 100)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_replay_is_bitwise_at_any_step(make, tmp_path):
    params = parameters()
    writer = LogWriter(tmp_path / "log", header=HEADER)
    kept = run(make(params), params, steps=700, writer=writer, snapshots=(1, 18, 256, 257, 699, 700))
    writer.flush()
    log = read_log(tmp_path / "log")
    assert log.header == HEADER
    assert not log.damage
    assert sum(row == () for row in log.rows) == 14
    for steps, theta in kept.items():
        again = make(parameters())
        replay(log, again, steps=steps, set_lr=lambda step, again=again: set_lr(again, step))
        assert torch.equal(again.theta, theta)
        assert weights_sha256(again.theta) == weights_sha256(theta)


def test_framing_is_small(tmp_path):
    params = parameters()
    writer = LogWriter(tmp_path / "log", header=HEADER)
    run(OPTIMIZERS["sgd"](params), params, steps=4 * STEPS_PER_BLOCK, writer=writer)
    writer.flush()
    payload = 4 * 4 * STEPS_PER_BLOCK
    assert (tmp_path / "log").stat().st_size <= 1.05 * payload + 100


@pytest.mark.parametrize("at", [-1, -700, 200])
def test_a_flipped_bit_ends_the_good_prefix(at, tmp_path):
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    log = read_log(path)
    assert len(log.rows) in (0, STEPS_PER_BLOCK)
    assert "the steps before it are good" in log.damage
    with pytest.raises(OutputError, match="the log holds"):
        replay(log, OPTIMIZERS["sgd"](parameters()), steps=len(log.rows) + 1)


def test_every_truncation_is_noticed(tmp_path):
    path = written(tmp_path)
    data = path.read_bytes()
    whole = read_log(path)
    for size in range(len(data) - 1, 40, -97):
        path.write_bytes(data[:size])
        log = read_log(path)
        assert log.damage or log.end == size
        assert log.rows == whole.rows[: len(log.rows)]


def test_what_is_no_log_is_refused(tmp_path):
    (tmp_path / "log").write_bytes(b"PK\3\4 something else")
    with pytest.raises(OutputError, match="not a replay log"):
        read_log(tmp_path / "log")
    with pytest.raises(OutputError, match="only zeroth-order cells have one"):
        read_log(tmp_path / "none")


def test_continuing_drops_later_steps_and_refuses_strangers(tmp_path):
    path = written(tmp_path)
    rows = read_log(path).rows
    writer = LogWriter(path, header=HEADER)
    writer(300, (1.5,))
    writer.flush()
    assert read_log(path).rows == (*rows[:300], (1.5,))
    with pytest.raises(OutputError, match="belongs to another run"):
        LogWriter(path, header={"what": "another"})(300, (1.5,))
    with pytest.raises(OutputError, match="ends at step 301"):
        LogWriter(path, header=HEADER)(302, (1.5,))
    LogWriter(path, header=HEADER).flush()
    assert len(read_log(path).rows) == 301


def written(tmp_path):
    params = parameters()
    writer = LogWriter(tmp_path / "log", header=HEADER)
    run(OPTIMIZERS["sgd"](params), params, steps=2 * STEPS_PER_BLOCK, writer=writer)
    writer.flush()
    return tmp_path / "log"


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import test_replay_log as t
params = t.parameters()
writer = t.LogWriter(t.Path(sys.argv[1]), header=t.HEADER)
optimizer = t.OPTIMIZERS["clipped"](params)
def die(step, differences):
    writer(step, differences)
    if step == 1300: __import__("os").kill(__import__("os").getpid(), t.signal.SIGKILL)
t.run(optimizer, params, steps=2000, writer=die)
"""


@pytest.mark.integration
def test_a_killed_run_goes_on_from_its_log_bitwise(tmp_path):
    from pathlib import Path

    died = subprocess.run(
        [sys.executable, "-c", KILLED.replace("t.Path", "__import__('pathlib').Path"), str(tmp_path / "log"), str(Path(__file__).parent)], check=False
    )
    assert died.returncode == -signal.SIGKILL
    log = read_log(tmp_path / "log")
    assert len(log.rows) == 1300 // STEPS_PER_BLOCK * STEPS_PER_BLOCK
    params = parameters()
    optimizer = OPTIMIZERS["clipped"](params)
    replay(log, optimizer, set_lr=lambda step: set_lr(optimizer, step))
    writer = LogWriter(tmp_path / "log", header=HEADER)
    run(optimizer, params, steps=2000, writer=writer)
    writer.flush()
    undisturbed = parameters()
    whole = OPTIMIZERS["clipped"](undisturbed)
    run(whole, undisturbed, steps=2000)
    assert torch.equal(optimizer.theta, whole.theta)
    assert (whole.skipped_steps, whole.clipped_differences > 10) == (40, True)
    again = OPTIMIZERS["clipped"](parameters())
    replay(read_log(tmp_path / "log"), again, set_lr=lambda step: set_lr(again, step))
    assert torch.equal(again.theta, whole.theta)
