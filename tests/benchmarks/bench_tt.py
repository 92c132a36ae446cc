"""Speed of the tensor-train layers, against the layers that they replace.

    python tests/benchmarks/bench_tt.py [--quick] [--out bench_tt.json]

One process, one thread, CPU, fp32; CPU time of the process, which on one thread is the wall time of an idle machine. The sides of a comparison take turns
(a b, b a, a b, …) and their medians are divided, so that whatever else the machine does hits both. Gradients are set to None outside of
the timed region. Only the ratios mean anything: below 1 we are faster (smaller) than the other side.
`target` is the largest ratio that was aimed at; `met` is reported also when it is false.

Sides: `rebuilt` is the authors' way (rebuild the matrix, multiply, add the bias), as our slow twin; `loretta` and `tensorly-torch` are the packages from PyPI,
where they can be imported; `nn.Linear` has the size of the layer; `lora` is the update of PEFT's LoRA of the same rank at a layer of that size, without
the frozen layer; `dense bottleneck` is the block of our method `adapters`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from packages import PACKAGES
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import RobertaConfig, RobertaForSequenceClassification

from loretta_core import LorettaAdpConfig, LorettaRepConfig, LortaConfig, MetaTTConfig, TensorGuideConfig, TTLoraConfig
from loretta_core.adapters.tuners.bottleneck_base import Bottleneck
from loretta_core.adapters.tuners.loretta_rep import TTLowRank
from loretta_core.adapters.tuners.tensor_family.lorta import GlobalCP
from loretta_core.adapters.tuners.tensor_family.metatt import GlobalTrain
from loretta_core.adapters.tuners.tensor_family.shared_factors import SharedUpdate
from loretta_core.adapters.tuners.tensor_family.tensorguide import JointLowRank
from loretta_core.adapters.tuners.tensor_family.tt_lora import TTUpdate
from loretta_core.methods.grid import AttachedLayer
from loretta_core.tt import reference
from loretta_core.tt.linear import TTLinear

RANK = 5


@dataclass(frozen=True)
class Scale:
    """Size of a measurement: repeats, rows and layers."""

    repeats: int
    most_rows: int
    """Longer batches are cut to this many tokens."""
    layers: int
    """Number of layers of the whole model."""


FULL = Scale(repeats=41, most_rows=4096, layers=12)
QUICK = Scale(repeats=5, most_rows=512, layers=1)


@dataclass(frozen=True)
class Comparison:
    """One line of the report."""

    name: str
    ours: float
    other: float
    unit: str
    ratio: float
    target: float | None = None
    met: bool | None = None


@dataclass(frozen=True)
class Side:
    """A function that is timed, and one that runs untimed before each time."""

    run: Callable[[], object]
    clear: Callable[[], object] = tuple


class Rebuilt(nn.Module):
    """The same cores as `layer`, used in the authors' way."""

    def __init__(self, layer: TTLinear) -> None:
        super().__init__()
        self.layer = deepcopy(layer)

    def forward(self, x: Tensor) -> Tensor:
        return reference.apply_rebuilt(x, list(self.layer.cores), shape=self.layer.shape, bias=self.layer.bias)


class RebuiltUpdate(nn.Module):
    """The same tensors as `block`, as the matrix that they stand for."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = deepcopy(block)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.block.delta_weight().t()


class Residual(nn.Module):
    """A residual connection: x + block(x)."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="few repetitions, at most 512 tokens, one layer of the whole model: does it run, with rough numbers"
    )
    parser.add_argument("--out", type=Path, help="write the report as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    comparisons = []
    for comparison in all_comparisons(QUICK if arguments.quick else FULL):
        print(line(comparison), flush=True)
        comparisons.append(comparison)
    absent = [name for name, make in PACKAGES.items() if make is None]
    print(f"{sum(one.met is True for one in comparisons)} targets met, {sum(one.met is False for one in comparisons)} not met")
    print(f"packages that cannot be imported here and are not compared: {', '.join(absent) or 'none'}")
    if arguments.out:
        machine = {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine(), "threads": torch.get_num_threads()}
        report = {"quick": arguments.quick, "machine": machine, "absent": absent, "comparisons": [asdict(one) for one in comparisons]}
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


def all_comparisons(scale: Scale) -> Iterator[Comparison]:
    repeats, most = scale.repeats, scale.most_rows
    for in_features, out_features, rows, target in [(4096, 64, 4096, 0.6), (768, 64, 512, 0.4), (64, 4096, 4096, None), (64, 768, 512, None)]:
        yield from whole_layer(in_features, out_features, rows=min(rows, most), target=target, repeats=repeats)
    for width, rows in dict.fromkeys((width, min(rows, most)) for width in (4096, 768) for rows in (4096, 512)):
        yield whole_adapter(width, rows=rows, repeats=repeats)
    for in_features, out_features in [(4096, 64), (64, 4096), (768, 64), (64, 768)]:
        yield from one_token(in_features, out_features, repeats=2 * repeats)
    for in_features, out_features in [(4096, 64), (768, 64)]:
        yield saved_for_backward(in_features, out_features, rows=512)
    for width, rows in [(4096, 512), (768, 512), (768, 32), (128, 128)]:
        yield from whole_family(width, rows=min(rows, most), repeats=repeats)
    yield whole_model(layers=scale.layers, repeats=repeats // 2)


def whole_layer(in_features: int, out_features: int, *, rows: int, target: float | None, repeats: int) -> Iterator[Comparison]:
    """Forward and backward, with respect to the input, the cores and the bias."""
    title = f"forward+backward {in_features}->{out_features}, {rows} tokens"
    layer = TTLinear(in_features, out_features, rank=RANK)
    x, g = torch.randn(rows, in_features, requires_grad=True), torch.randn(rows, out_features)
    ours = training(layer, x, g)
    yield compare(f"{title}: rebuilt", ours, training(Rebuilt(layer), x, g), target=target, repeats=repeats)
    yield compare(f"{title}: nn.Linear", ours, training(nn.Linear(in_features, out_features), x, g), target=1.0, repeats=repeats)
    yield compare(f"{title}: lora", ours, training(lora(in_features, out_features), x, g), repeats=repeats)
    for name, make in PACKAGES.items():
        if make is not None:
            yield compare(f"{title}: {name}", ours, training(make(in_features, out_features, RANK), x, g), repeats=repeats)


def whole_adapter(width: int, *, rows: int, repeats: int) -> Comparison:
    """x + up(relu(down(x))), tensor trains against dense matrices."""
    x, g = torch.randn(rows, width, requires_grad=True), torch.randn(rows, width)
    tensorized = bottleneck(TTLinear(width, 64, rank=RANK), TTLinear(64, width, rank=RANK))
    dense = bottleneck(nn.Linear(width, 64), nn.Linear(64, width))
    name = f"forward+backward of a whole adapter, width {width}, {rows} tokens: dense bottleneck"
    return compare(name, training(tensorized, x, g), training(dense, x, g), target=0.7, repeats=repeats)


def one_token(in_features: int, out_features: int, *, repeats: int) -> Iterator[Comparison]:
    """Forward of a single row: ten in a turn with the halves cached, as generation does it; one in a turn, right after the other side has filled the
    processor's caches (and with the timer's own µs in it); and with nothing cached by the layer."""
    layer = TTLinear(in_features, out_features, rank=RANK)
    x = torch.randn(1, in_features)
    title, slow, cached = f"forward of one token {in_features}->{out_features}", Rebuilt(layer), deepcopy(layer).eval()
    yield compare(f"{title}: rebuilt", inference(cached, x, times=10), inference(slow, x, times=10), target=0.15, repeats=repeats)
    yield compare(f"{title}, one in a turn: rebuilt", inference(cached, x), inference(slow, x), target=0.15, repeats=10 * repeats)
    yield compare(f"{title}, nothing cached: rebuilt", inference(layer, x, times=10), inference(slow, x, times=10), repeats=repeats)


def saved_for_backward(in_features: int, out_features: int, *, rows: int) -> Comparison:
    """Bytes that autograd keeps, the layer's input excepted."""
    layer = TTLinear(in_features, out_features, rank=RANK)
    x = torch.randn(rows, in_features, requires_grad=True)
    name = f"saved for backward {in_features}->{out_features}, {rows} tokens: rebuilt"
    return result(name, saved_bytes(layer, x), saved_bytes(Rebuilt(layer), x), unit="bytes", target=0.1)


def whole_family(width: int, *, rows: int, repeats: int) -> Iterator[Comparison]:
    """Forward and backward of the update of one layer by each method, against its own matrix, rebuilt in every forward, and a dense matrix of that size."""
    x, g = torch.randn(rows, width, requires_grad=True), torch.randn(rows, width)
    for method, block in family(width).items():
        title, ours = f"forward+backward of a {method} update {width}->{width}, {rows} tokens", training(block, x, g)
        yield compare(f"{title}: rebuilt", ours, training(RebuiltUpdate(block), x, g), target=1.0, repeats=repeats)
        yield compare(f"{title}: nn.Linear", ours, training(nn.Linear(width, width, bias=False), x, g), target=1.0, repeats=repeats)


def family(width: int) -> dict[str, nn.Module]:
    """Return the update of one of 24 layers of this width by every method that makes it of tensor trains or CP factors, with its defaults."""
    attached = [AttachedLayer(f"layers.{layer}.{name}", width, width) for layer in range(12) for name in ("q_proj", "v_proj")]
    shared = {"metatt": GlobalTrain(attached, ranks=MetaTTConfig().ranks), "lorta": GlobalCP(attached, r=LortaConfig().r, head_width=64)}
    return {
        "loretta_rep": TTLowRank(in_features=width, out_features=width, config=LorettaRepConfig()),
        "tt_lora": TTUpdate(in_features=width, out_features=width, config=TTLoraConfig(), weight_OI=torch.empty(width, width, device="meta")),
        "tensorguide": JointLowRank(in_features=width, out_features=width, config=TensorGuideConfig()),
        **{name: SharedUpdate(tensors, owned=True, path=attached[0].path, scaling=1.0, dropout=0.0) for name, tensors in shared.items()},
    }


def whole_model(*, layers: int, repeats: int) -> Comparison:
    """Forward, backward and AdamW of a model of RoBERTa-base's size with random weights."""
    base = RobertaForSequenceClassification(RobertaConfig(num_hidden_layers=layers))
    ids_BL, labels_B = torch.randint(5, 50_000, (4, 64)), torch.randint(0, 2, (4,))
    ours = get_peft_model(deepcopy(base), LorettaAdpConfig(task_type="SEQ_CLS", tensor_rank=RANK))
    other = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "value"]))
    name = f"training step of RoBERTa-base ({layers} layers, 4 x 64 tokens) with loretta_adp: with lora r=8"
    return compare(name, *(model_training(model, ids_BL, labels_B) for model in (ours, other)), target=1.05, repeats=repeats)


def bottleneck(down: nn.Module, up: nn.Module) -> nn.Module:
    return Residual(Bottleneck(down=down, up=up, non_linearity="relu", adapter_dropout=0.0, scaling=1.0))


def lora(in_features: int, out_features: int) -> nn.Module:
    # What peft.tuners.lora.Linear computes beside its frozen layer.
    return nn.Sequential(nn.Linear(in_features, RANK, bias=False), nn.Linear(RANK, out_features, bias=False))


def training(module: nn.Module, x: Tensor, g: Tensor) -> Side:
    leaves = [x, *module.parameters()]
    return Side(run=lambda: module(x).backward(g), clear=lambda: drop_gradients(leaves))


def model_training(model: nn.Module, ids_BL: Tensor, labels_B: Tensor) -> Side:
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad])

    def step() -> None:
        model(input_ids=ids_BL, labels=labels_B).loss.backward()
        optimizer.step()

    return Side(run=step, clear=optimizer.zero_grad)


def inference(module: nn.Module, x: Tensor, *, times: int = 1) -> Side:
    def run() -> None:
        with torch.no_grad():
            for _ in range(times):
                module(x)

    return Side(run=run)


def drop_gradients(leaves: list[Tensor]) -> None:
    for leaf in leaves:
        leaf.grad = None


def saved_bytes(module: nn.Module, x: Tensor) -> int:
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(x)
    return sum(size for address, size in storages.items() if address != x.untyped_storage().data_ptr())


def compare(name: str, ours: Side, other: Side, *, repeats: int, target: float | None = None) -> Comparison:
    times: dict[int, list[float]] = {0: [], 1: []}
    for repeat in range(-2, repeats):  # the first two warm up
        for index in (0, 1) if repeat % 2 == 0 else (1, 0):
            elapsed = timed((ours, other)[index])
            if repeat >= 0:
                times[index].append(elapsed)
    return result(name, statistics.median(times[0]), statistics.median(times[1]), unit="CPU s", target=target)


def timed(side: Side) -> float:
    side.clear()
    start = time.process_time()
    side.run()
    return time.process_time() - start


def result(name: str, ours: float, other: float, *, unit: str, target: float | None) -> Comparison:
    return Comparison(name, ours, other, unit, ours / other, target, None if target is None else ours / other <= target)


def line(one: Comparison) -> str:
    verdict = "" if one.target is None else f"  (target {one.target:.2f}: {'met' if one.met else 'NOT MET'})"
    return f"{one.ratio:6.3f}  {one.name}{verdict}"


if __name__ == "__main__":
    main()
