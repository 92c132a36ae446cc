"""Optimizers by name: they learn, their state is what the planner counts, and a stopped run continues with the same bits."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from loretta_core.config import cell_from_overrides
from loretta_core.config.checkpoints import quantized as libraries
from loretta_core.config.trainer import FirstOrderTrainer
from loretta_core.errors import ConfigError, ModelError
from loretta_core.plan.parts.optimizers import moment_bytes
from loretta_core.train.checkpoint import FileCheckpointer, ModelState
from loretta_core.train.engines.optimizers import build_optimizer
from loretta_core.train.run import run_cell
from loretta_core.train.state import TrainingProgress

INSTALL = "needs bitsandbytes: pip install -c constraints.txt -e '.[quantized]'"
needs_library = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason=INSTALL)
TRAINERS = ("adam", "sgd", "adafactor", "muon", pytest.param("adam_8bit", marks=needs_library), pytest.param("lion", marks=needs_library))
SMALL = ("model=toy-bert", "task=toy_sentiment", "method=loretta_adp", "task.train_rows=64", "task.validation_rows=16", "task.test_rows=16", "batch_size=8")
pytestmark = pytest.mark.filterwarnings("ignore")  # bitsandbytes warns at import


def trainer_of(name, *settings) -> FirstOrderTrainer:
    trainer = cell_from_overrides([*SMALL, f"trainer={name}", *settings]).trainer
    assert isinstance(trainer, FirstOrderTrainer)
    return trainer


def regression(name, *, masters=False):
    """Return parameters (a matrix, a vector, a core of three dimensions), their optimizer, and a step that returns the loss."""
    torch.manual_seed(0)
    weights = {"matrix": torch.randn(64, 80), "vector": torch.randn(80), "core": torch.randn(5, 8, 5)}
    parameters = {key: nn.Parameter(value) for key, value in weights.items()}
    optimizer = build_optimizer(list(parameters.values()), trainer=trainer_of(name), masters=masters)
    targets = {key: torch.randn_like(value) for key, value in weights.items()}

    def step():
        optimizer.zero_grad()
        loss = sum((parameters[key] - targets[key]).square().mean() for key in weights)
        loss.backward()
        optimizer.step()
        return loss.item()

    return parameters, optimizer, step


@pytest.mark.parametrize("name", TRAINERS)
def test_a_stopped_run_continues_with_the_same_bits(name, tmp_path):
    parameters, optimizer, step = regression(name)
    first = [step() for _ in range(3)]
    FileCheckpointer(tmp_path / "state", identity="x", min_interval_s=0.0).save(ModelState(parameters, optimizer), TrainingProgress(step=3), now=True)
    went_on = [step() for _ in range(3)]
    again, fresh, resumed_step = regression(name)
    FileCheckpointer(tmp_path / "state", identity="x").restore(ModelState(again, fresh))
    assert [resumed_step() for _ in range(3)] == went_on
    assert all(torch.equal(again[key], parameters[key]) for key in parameters)
    assert went_on[-1] < first[0]


@pytest.mark.parametrize(
    ("name", "at_least"), [("adam", 0.99), ("sgd", 0.99), ("muon", 0.5), ("adafactor", 0.0), pytest.param("lion", 0.99, marks=needs_library)]
)
def test_its_state_is_what_the_planner_counts(name, at_least):
    """Muon is counted as AdamW, which trains what is no matrix; Adafactor's rows and columns, and counters of steps, are not counted."""
    parameters, optimizer, step = regression(name)
    step()
    held = sum(value.numel() * value.element_size() for slot in optimizer.state.values() for value in slot.values() if torch.is_tensor(value))
    numbers = sum(value.numel() for value in parameters.values())
    counted = moment_bytes(trainer_of(name), numbers, width=4)
    assert at_least * counted <= held <= counted + (0.5 * numbers if name == "adafactor" else 16)


@needs_library
def test_moments_in_8_bit_take_what_the_planner_counts():
    weight = nn.Parameter(torch.randn(256, 256))
    optimizer = build_optimizer([weight], trainer=trainer_of("adam_8bit"), masters=False)
    weight.square().sum().backward()
    optimizer.step()
    held = sum(
        value.numel() * value.element_size() for name, value in optimizer.state[weight].items() if torch.is_tensor(value) and not name.startswith("qmap")
    )
    assert held == moment_bytes(trainer_of("adam_8bit"), weight.numel(), width=4)


def test_muon_leaves_what_is_no_matrix_to_adamw():
    start = {"matrix": torch.randn(6, 4), "vector": torch.randn(4), "core": torch.randn(2, 3, 2)}
    ours, twins = ({name: nn.Parameter(value.clone()) for name, value in start.items()} for _ in range(2))
    trainer = trainer_of("muon")
    muon = build_optimizer(list(ours.values()), trainer=trainer, masters=False)
    adamw = AdamW([twins["vector"], twins["core"]], lr=trainer.lr, weight_decay=0.0)
    for _ in range(3):
        for weights, optimizer in ((ours, muon), (twins, adamw)):
            optimizer.zero_grad()
            sum(value.square().sum() for value in weights.values()).backward()
            optimizer.step()
    assert torch.equal(ours["vector"], twins["vector"])
    assert torch.equal(ours["core"], twins["core"])
    assert not torch.equal(ours["matrix"], start["matrix"])


@pytest.mark.integration
@pytest.mark.parametrize(
    "name",
    [
        "muon",
        *(
            pytest.param(name, marks=[pytest.mark.slow, *([needs_library] if name in ("adam_8bit", "lion") else [])])
            for name in ("sgd", "adafactor", "adam_8bit", "lion")
        ),
    ],
)
def test_cells_learn(name, tmp_path):
    record = run_cell(cell_from_overrides([*SMALL, f"trainer={name}", "trainer.steps=24", "trainer.eval_every=8"]), directory=tmp_path)
    losses = [value for _, value in record.curves["validation_loss"]]
    assert min(losses[1:]) < losses[0]


@needs_library
def test_paging_needs_a_gpu():
    with pytest.raises(ModelError, match=r"trainer\.paged = true lets moments move from a GPU"):
        build_optimizer([nn.Parameter(torch.zeros(3))], trainer=trainer_of("adam_8bit", "trainer.paged=true"), masters=False)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'trainer "lion" is computed by bitsandbytes, which is not installed here: .* or use "adam"'):
        libraries.check_optimizer(trainer_of("lion"))
    libraries.check_optimizer(trainer_of("muon"))


def test_bf16_weights_are_for_adam():
    with pytest.raises(ConfigError, match="only adam keeps its state in fp32 there"):
        cell_from_overrides([*SMALL, "method=ft", "trainer=lion", "precision=bf16"])
