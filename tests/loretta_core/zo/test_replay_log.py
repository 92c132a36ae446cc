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

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:all losses of this step are exactly equal"),  # the outliers make some of the runs diverge, and that is what is replayed
]

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


QUICK = ("sgd", "adam", "signs")


@pytest.mark.parametrize("make", [pytest.param(make, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, make in OPTIMIZERS.items()])
def test_replay_is_bitwise_at_any_step(make, tmp_path):
    params = parameters()
    writer = LogWriter(tmp_path / "log", header=HEADER)
    kept = run(make(params), params, steps=700, writer=writer, snapshots=(1, 18, 256, 257, 699, 700))
    writer.flush()
    log = read_log(tmp_path / "log")
    assert log.header.items() >= HEADER.items()
    assert not log.damage
    assert sum(row == () for row in log.rows) == 14
    for steps, theta in kept.items():
        again = make(parameters())
        replay(log, again, steps=steps, set_lr=lambda step, again=again: set_lr(again, step))
        assert torch.equal(again.theta, theta)
        assert weights_sha256(again.theta) == weights_sha256(theta)


@pytest.mark.parametrize("directions", [1, 3, 20])
def test_framing_is_small(directions, tmp_path):
    params = parameters()
    sizes = []
    for steps in (1, 1 + 5 * STEPS_PER_BLOCK):
        writer = LogWriter(tmp_path / "log", header=HEADER)
        optimizer = ZOSGD(params, num_directions=directions)
        optimizer.on_step = writer
        for _ in range(steps):
            optimizer.step(lambda: params[0].sum())
        writer.flush()
        sizes.append((tmp_path / "log").stat().st_size)
    assert sizes[1] - sizes[0] <= 1.05 * 4 * directions * 5 * STEPS_PER_BLOCK
    assert sizes[0] <= 1024


def test_rates_are_logged_while_they_change_and_not_where_the_header_answers_for_them(tmp_path):
    sizes = {}
    for rates in (True, False):
        params = parameters()
        writer = LogWriter(tmp_path / "log", header=HEADER, rates=rates)
        run(OPTIMIZERS["sgd"](params), params, steps=64, writer=writer)
        writer.flush()
        sizes[rates] = (tmp_path / "log").stat().st_size
    assert 8 * 64 - 50 <= sizes[True] - sizes[False] <= 8 * 64 + 50
    with pytest.raises(OutputError, match="give it as set_lr"):
        replay(read_log(tmp_path / "log"), OPTIMIZERS["sgd"](parameters()))


@pytest.mark.parametrize("at", [-1, -134, -133, -700, -1400])
def test_a_flipped_bit_is_put_right(at, tmp_path):
    path = written(tmp_path)
    whole = read_log(path)
    path.write_bytes(flipped(path.read_bytes(), at, 4))
    log = read_log(path)
    assert (log.rows, log.rates, log.settings) == (whole.rows, whole.rates, whole.settings)
    assert "was put right" in log.damage


@pytest.mark.parametrize("at", [-1, -134, -700])
def test_worse_damage_ends_the_good_prefix_at_its_block(at, tmp_path):
    path = written(tmp_path)
    whole = read_log(path)
    path.write_bytes(flipped(flipped(path.read_bytes(), at, 255), at - 3, 255))
    log = read_log(path)
    assert len(whole.rows) - len(log.rows) <= -at // (4 * STEPS_PER_BLOCK) * STEPS_PER_BLOCK + STEPS_PER_BLOCK
    assert log.rows == whole.rows[: len(log.rows)]
    assert "the steps before it are good" in log.damage
    with pytest.raises(OutputError, match="the log holds"):
        replay(log, OPTIMIZERS["sgd"](parameters()), steps=len(log.rows) + 1)


def flipped(data, at, bits):
    changed = bytearray(data)
    changed[at] ^= bits
    return bytes(changed)


def test_every_truncation_is_noticed(tmp_path):
    path = written(tmp_path)
    data = path.read_bytes()
    whole = read_log(path)
    for size in range(len(data) - 1, 900, -97):
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
    optimizer = OPTIMIZERS["sgd"](parameters())
    replay(read_log(path), optimizer, steps=300, set_lr=lambda step: set_lr(optimizer, step))
    writer = LogWriter(path, header=HEADER, optimizer=optimizer)
    writer(300, (1.5,))
    writer.flush()
    assert read_log(path).rows == (*rows[:300], (1.5,))
    with pytest.raises(OutputError, match="belongs to another run: what: a test, not another"):
        LogWriter(path, header={"what": "another"}, optimizer=optimizer)(300, (1.5,))
    with pytest.raises(OutputError, match="belongs to another run: distribution"):
        LogWriter(path, header=HEADER, optimizer=OPTIMIZERS["signs"](parameters()))(300, (1.5,))
    with pytest.raises(OutputError, match="ends at step 301"):
        LogWriter(path, header=HEADER, optimizer=optimizer)(302, (1.5,))
    LogWriter(path, header=HEADER).flush()
    assert len(read_log(path).rows) == 301


OTHERS = {
    "seed": (lambda params: ZOSGD(params, lr=0.05, weight_decay=0.01, seed=3), "seed: 0, not 3"),
    "eps": (lambda params: ZOSGD(params, lr=0.05, weight_decay=0.01, zo_eps=1e-2), "group 0: zo_eps: 0.001, not 0.01"),
    "decay": (lambda params: ZOSGD(params, lr=0.05), "group 0: weight_decay: 0.01, not 0.0"),
    "scaling": (lambda params: ZOSGD(params, lr=0.05, weight_decay=0.01, scaling="rms"), "scaling: gradient, not rms"),
    "directions": (lambda params: ZOSGD(params, lr=0.05, weight_decay=0.01, distribution="rademacher"), "distribution: gaussian, not rademacher"),
    "optimizer": (OPTIMIZERS["momentum"], "optimizer: ZOSGD, not ZerothOrder"),
    "layout": (lambda params: ZOSGD(params[::-1], lr=0.05, weight_decay=0.01), "begins at weights"),
    "rate": (lambda params: ZOSGD(params, lr=0.04, weight_decay=0.01), "step 0 was made with learning rate 0.05, the optimizer has 0.04"),
}


@pytest.mark.parametrize(("make", "said"), OTHERS.values(), ids=OTHERS)
def test_the_log_of_another_run_is_refused(make, said, tmp_path):
    with pytest.raises(OutputError, match=said):
        replay(read_log(written(tmp_path, steps=40)), make(parameters()))


def test_another_start_another_schedule_and_steps_that_are_not_there_are_refused(tmp_path):
    log = read_log(written(tmp_path, steps=40))
    moved = parameters()
    with torch.no_grad():
        moved[0].add_(1e-3)
    with pytest.raises(OutputError, match="begins at weights"):
        replay(log, OPTIMIZERS["sgd"](moved))
    with pytest.raises(OutputError, match="step 1 was made with learning rate"):
        replay(log, OPTIMIZERS["sgd"](parameters()))
    for steps in (-300, -1, 41):
        with pytest.raises(OutputError, match=f"the log holds 40 steps, step {steps} was asked for"):
            replay(log, OPTIMIZERS["sgd"](parameters()), steps=steps)
    optimizer = OPTIMIZERS["sgd"](parameters())
    replay(log, optimizer, steps=9, set_lr=lambda step: set_lr(optimizer, step))
    with pytest.raises(OutputError, match="has taken 9 steps, step 8 lies before"):
        replay(log, optimizer, steps=8)


def test_a_setting_that_changes_on_the_way_is_in_the_log(tmp_path):
    def change(optimizer, step, params):
        if step == 10:
            params[1].requires_grad_(False)
        if step == 15:
            optimizer.param_groups[0]["zo_eps"] = 1e-2

    params = parameters()
    optimizer = OPTIMIZERS["momentum"](params)
    optimizer.on_step = LogWriter(tmp_path / "log")
    for step in range(20):
        change(optimizer, step, params)
        optimizer.step(lambda: bowl(params, 0))
    optimizer.on_step.flush()
    log, fresh = read_log(tmp_path / "log"), parameters()
    assert list(log.settings) == [0, 10, 15]
    again = OPTIMIZERS["momentum"](fresh)
    replay(log, again, set_lr=lambda step: change(again, step, fresh))
    assert all(torch.equal(one, other) for one, other in zip(params, fresh, strict=True))
    with pytest.raises(OutputError, match="step 10 was made by an optimizer with other settings; the log has layout"):
        replay(log, OPTIMIZERS["momentum"](parameters()))


def test_logs_of_earlier_versions_and_of_no_optimizer_are_refused(tmp_path):
    (tmp_path / "log").write_bytes(b"ZOLOG1\n\0" + bytes(100))
    with pytest.raises(OutputError, match="an earlier version wrote it"):
        read_log(tmp_path / "log")
    writer = LogWriter(tmp_path / "other")
    writer(0, (1.0,))
    writer.flush()
    with pytest.raises(OutputError, match="does not say what decides its weights"):
        replay(read_log(tmp_path / "other"), OPTIMIZERS["sgd"](parameters()))


def written(tmp_path, steps=350):
    params = parameters()
    writer = LogWriter(tmp_path / "log", header=HEADER)
    run(OPTIMIZERS["sgd"](params), params, steps=steps, writer=writer)
    writer.flush()
    return tmp_path / "log"


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import test_replay_log as t
params = t.parameters()
optimizer = t.OPTIMIZERS["clipped"](params)
writer = t.LogWriter(t.Path(sys.argv[1]), header=t.HEADER, optimizer=optimizer)
def die(step, differences):
    writer(step, differences)
    if step == 1300: __import__("os").kill(__import__("os").getpid(), t.signal.SIGKILL)
t.run(optimizer, params, steps=2000, writer=die)
"""


@pytest.mark.slow
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
