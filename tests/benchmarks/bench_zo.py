"""Cost of a zeroth-order step, against the forwards it contains and against MeZO's own loop.

    python tests/benchmarks/bench_zo.py [--quick] [--out bench_zo.json]

One process, one thread, CPU, fp32, one model with the same adapters and the same batch on both sides. CPU time of the process, which on one thread is the
wall time of an idle machine. The sides of a comparison take turns (a b, b a, a b, …) and their medians are divided, so that whatever else the machine does
hits both: only the ratios mean anything. `target` is what was aimed at; `met` is reported also when it is false. The other side is `mezo.py`.

The adapters are those of the method `loretta_adp` on a model of RoBERTa-base's size with random weights; the passes over the parameters alone are measured
on 480 tensors of 100,800 parameters in all. Full fine-tuning is that of a Llama of 1.1 billion random bf16 weights. `--quick` uses small models and few
repetitions; `--only TEXT` makes the results whose key has that text.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mezo import MeZO
from peft import LoraConfig, PeftConfig, get_peft_model
from results import Result, ratio, write
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM, RobertaConfig, RobertaForSequenceClassification
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from loretta_core import ZOSGD, LorettaAdpConfig
from loretta_core.zo.directions.cone import Cone
from loretta_core.zo.directions.curvature import Curvature
from loretta_core.zo.directions.low_rank import LowRank
from loretta_core.zo.directions.projected import Projected
from loretta_core.zo.directions.sparse import Sparse
from loretta_core.zo.directions.subspace import Subspace
from loretta_core.zo.noise import Direction, Distribution, draw
from loretta_core.zo.population import Population
from loretta_core.zo.replay_log import LogWriter, read_log, replay
from loretta_core.zo.variants import Autotuned, Batched

REPEATS, QUICK_REPEATS = 21, 7
TENSORS, TENSOR_SIZE = 480, 210
ALONG: dict[str, dict[str, Any]] = {
    "dense": {},
    "low-rank": {"directions": LowRank()},
    "subspace": {"directions": Subspace()},
    "sparse": {"directions": Sparse()},
    "curvature": {"directions": Curvature()},
    "cone": {"directions": Cone()},
    "projected, orthogonalised": {"directions": Projected(), "update": "orthogonal", "estimator": "one_sided", "num_directions": 4},
}
BATCHES = ((1, 16), (1, 64), (8, 16), (8, 32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller model and fewer repetitions: rough medians")
    parser.add_argument("--only", default="", help="only the results whose key has this text, e.g. streamed")
    parser.add_argument("--out", type=Path, help="write the report as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for one in chosen_results(arguments.only, quick=arguments.quick):
        print(line(one), flush=True)
        results.append(one)
    print(f"{sum(one.met is True for one in results)} targets met, {sum(one.met is False for one in results)} not met")
    if arguments.out:
        write(arguments.out, results, quick=arguments.quick, machine=platform.machine())


def chosen_results(only: str, *, quick: bool) -> Iterator[Result]:
    """Results whose key has the text `only`, computed one by one."""
    for key, make in all_results(quick=quick):
        if only in key:
            yield make()


def all_results(*, quick: bool) -> Iterator[tuple[str, Callable[[], Result]]]:
    """(key, how to get it), in order."""
    repeats, layers = (QUICK_REPEATS, 2) if quick else (REPEATS, 12)
    yield "perturbation", partial(perturbation_pass, repeats=20 * repeats)
    for distribution in ("gaussian", "rademacher"):
        yield f"noise {distribution}", partial(noise, distribution, repeats=20 * repeats)
    yield "passes", partial(passes_of_a_step, repeats=20 * repeats)
    for distribution, target in (("rademacher", 2000), ("gaussian", 1000)):
        yield f"replay {distribution}", partial(replayed, distribution, target=target, repeats=3 if quick else 5)
    for name, options in ALONG.items():
        yield f"passes along {name}", partial(passes_along, name, options, repeats=repeats)
    yield "streamed", partial(streamed_memory, layers=2 if quick else 16, width=256 if quick else 2048, target=None if quick else 1.05)
    for ceiling in (False, True):
        yield "population", partial(population, layers=layers, members=8, rows=1, tokens=16, repeats=max(3, repeats // 3), ceiling=ceiling)
    model = adapted(LorettaAdpConfig(task_type="SEQ_CLS", tensor_rank=5), layers=layers)
    yield "step", partial(whole_step, model, rows=8, tokens=32, repeats=repeats)
    matrices = adapted(LoraConfig(r=8, task_type="SEQ_CLS"), layers=layers)
    for name, options in ALONG.items():
        yield f"along {name}", partial(step_along, name, options, matrices, rows=8, tokens=32, repeats=max(3, repeats // 3))
    yield "mezo small", partial(against_mezo, model, rows=1, tokens=16, repeats=3 * repeats)
    yield "mezo", partial(against_mezo, model, rows=8, tokens=32, repeats=repeats)
    yield "memory", partial(memory, model, rows=8, tokens=32)
    for rows, tokens in BATCHES:
        for directions in (1, 4):
            yield f"batched {rows}x{tokens}", partial(batched, model, rows=rows, tokens=tokens, directions=directions, repeats=repeats)


def perturbation_pass(*, repeats: int) -> Result:
    """θ + εz into the evaluated parameters, z given."""
    parameters = many_tensors()
    mezo = MeZO(parameters, lr=1e-4, eps=1e-3)
    pieces = [torch.randn_like(parameter) for parameter in parameters]
    theta, shift, buffer = (torch.randn(TENSORS * TENSOR_SIZE) for _ in range(3))
    times = interleaved(partial(torch.add, theta, shift, alpha=1, out=buffer), partial(mezo.perturb_with, pieces, 0), repeats=repeats)
    return faster("perturbation pass of 100,800 parameters in 480 tensors, noise given", *times, at_least=15.0)


def noise(distribution: Distribution, *, repeats: int) -> Result:
    """z of all parameters once; both sides draw it more often than once a step, MeZO four times, ours once at one direction."""
    parameters = many_tensors()

    def theirs() -> None:
        torch.manual_seed(0)
        for parameter in parameters:
            torch.normal(mean=0, std=1, size=parameter.size())

    step = iter(range(10**9))
    times = interleaved(lambda: draw(Direction(0, next(step)), size=TENSORS * TENSOR_SIZE, distribution=distribution), theirs, repeats=repeats)
    return faster(f"noise of 100,800 parameters, {distribution} against torch.normal", *times)


def passes_of_a_step(*, repeats: int) -> Result:
    """A whole step with a loss that costs nothing: everything but the forwards."""
    ours, theirs, loss = ZOSGD(many_tensors()), MeZO(many_tensors(), lr=1e-4, eps=1e-3), torch.tensor(1.0)
    return faster(
        "step of 100,800 parameters in 480 tensors without its forwards",
        *interleaved(*(partial(o.step, lambda: loss) for o in (ours, theirs)), repeats=repeats),
    )


def replayed(distribution: Distribution, *, target: int, repeats: int) -> Result:
    """Steps per second of `replay`, the log read from disk."""
    steps, times = 1000, []
    with TemporaryDirectory() as directory:
        optimizer = ZOSGD(many_tensors(), distribution=distribution)
        writer = LogWriter(Path(directory) / "log", optimizer=optimizer)
        for step in range(steps):
            writer(step, (1e-6 * (step % 7 - 3),))
        writer.flush()
        for _ in range(repeats):
            optimizer = ZOSGD(many_tensors(), distribution=distribution)
            times.append(timed(lambda optimizer=optimizer: replay(read_log(Path(directory) / "log"), optimizer)))
    speed = steps / statistics.median(times)
    return Result(f"replay of 100,800 parameters, {distribution}", speed, "steps/s", target=f">= {target:,}", met=speed >= target)


def whole_step(model: nn.Module, *, rows: int, tokens: int, repeats: int) -> Result:
    """A step against the two forwards it contains."""
    model = deepcopy(model)
    loss = closure(model, rows=rows, tokens=tokens)
    optimizer = ZOSGD(trainable(model), lr=1e-6)
    times = interleaved(partial(optimizer.step, loss), partial(bare_forwards, optimizer, loss, 2), repeats=repeats)
    return costs(f"step against two bare forwards, {rows} x {tokens} tokens", *times, at_most=1.03)


def passes_along(name: str, options: dict[str, Any], *, repeats: int) -> Result:
    """A step along other directions against one along dense ones, with a loss that costs nothing, of two large matrices."""
    losses = cycle((0.5, 1.0, 1.5, 0.25))
    optimizers = [ZOSGD([nn.Parameter(torch.randn(shape)) for shape in ((768, 3072), (3072, 768))], lr=1e-6, **chosen) for chosen in (options, {})]
    times = interleaved(*(partial(optimizer.step, lambda: next(losses)) for optimizer in optimizers), repeats=repeats)
    return faster(f"step along {name} directions against dense ones, two matrices of 768 x 3072, without forwards", *times)


def bare_forwards(optimizer: ZOSGD, loss: Callable[[], Tensor], count: int) -> None:
    """Forwards at other weights each, as those of a step are: at the same ones tensor trains would use again what they keep of the last forward."""
    for number in range(count):
        optimizer.theta.add_(1e-3 if number % 2 else -1e-3)
        loss()


def step_along(name: str, options: dict[str, Any], model: nn.Module, *, rows: int, tokens: int, repeats: int) -> Result:
    """A step along other directions, of LoRA's matrices, against as many bare forwards as it has evaluations."""
    model = deepcopy(model)
    loss = closure(model, rows=rows, tokens=tokens)
    optimizer = ZOSGD(trainable(model), lr=1e-6, **options)
    optimizer.step(loss)
    times = interleaved(partial(optimizer.step, loss), partial(bare_forwards, optimizer, loss, optimizer.evaluations), repeats=repeats)
    return costs(f"step along {name} directions against its bare forwards, LoRA, {rows} x {tokens} tokens", *times, at_most=1.1)


def against_mezo(model: nn.Module, *, rows: int, tokens: int, repeats: int) -> Result:
    """Steps per second against MeZO's, with the choice between serial and batched forwards left to `Autotuned`."""
    first, second = deepcopy(model), deepcopy(model)
    ours, theirs = ZOSGD(trainable(first), lr=1e-6), MeZO(trainable(second), lr=1e-6, eps=1e-3)
    ours.evaluator = Autotuned(first)
    sides = [partial(optimizer.step, closure(m, rows=rows, tokens=tokens)) for optimizer, m in ((ours, first), (theirs, second))]
    for _ in range(6):
        sides[0]()
    chosen = "batched" if ours.evaluator.chose_batched(2) else "serial"
    target = 1.3 if (rows, tokens) == (1, 16) else None
    return faster(f"steps/s against MeZO's, {rows} x {tokens} tokens ({chosen} chosen)", *interleaved(*sides, repeats=repeats), at_least=target)


def memory(model: nn.Module, *, rows: int, tokens: int) -> Result:
    """Peak of a step over the peak of one forward, the weights included in both."""
    model = deepcopy(model)
    loss = closure(model, rows=rows, tokens=tokens)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    inference = weights + peak_bytes(loss)
    optimizer = ZOSGD(trainable(model), lr=1e-6)
    buffers = optimizer.theta.numel() * optimizer.theta.element_size()  # the scratch copy; θ itself replaced the parameters' storage
    stepping = weights + buffers + peak_bytes(partial(optimizer.step, loss))
    return Result(
        f"peak memory of a step above inference, {rows} x {tokens} tokens",
        stepping / inference,
        "ratio",
        stepping,
        inference,
        "<= 1.05",
        stepping <= 1.05 * inference,
    )


def streamed_memory(*, layers: int, width: int, target: float | None) -> Result:
    """Peak of a step of full fine-tuning over the peak of one forward, bf16 weights included in both."""
    model = random_llama(layers=layers, width=width)
    ids_BL = torch.arange(5, 21).unsqueeze(0)

    @torch.no_grad()
    def loss() -> Tensor:
        return nn.functional.cross_entropy(model(input_ids=ids_BL).logits[0, :-1].float(), ids_BL[0, 1:])

    optimizer = ZOSGD(model.parameters(), lr=1e-7, distribution="rademacher")  # signs are drawn ten times as fast, in as much memory
    before = optimizer.storage.sha256()
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    inference, stepping = weights + peak_bytes(loss), weights + peak_bytes(partial(optimizer.step, loss))
    assert optimizer.storage.sha256() != before, "bf16 weights did not move"
    name = f"peak memory of a streamed bf16 step above inference, Llama of {sum(p.numel() for p in model.parameters()) / 1e6:,.0f} M parameters, 1 x 16 tokens"
    return Result(
        name, stepping / inference, "ratio", stepping, inference, f"<= {target}" if target else "", stepping <= target * inference if target else None
    )


def random_llama(*, layers: int, width: int) -> nn.Module:
    config = LlamaConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=16, num_key_value_heads=4)
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model = model.to_empty(device="cpu").eval()
    model.model.rotary_emb = LlamaRotaryEmbedding(config)
    for name, parameter in model.named_parameters():
        nn.init.ones_(parameter) if "norm" in name else nn.init.uniform_(parameter, -0.03, 0.03)
    return model


def batched(model: nn.Module, *, rows: int, tokens: int, directions: int, repeats: int) -> Result:
    """All variants of a step in one forward against one after the other."""
    sides = []
    for together in (True, False):
        copy = deepcopy(model)
        optimizer = ZOSGD(trainable(copy), lr=1e-6, num_directions=directions)
        if together:
            optimizer.evaluator = Batched(copy)
        sides.append(partial(optimizer.step, closure(copy, rows=rows, tokens=tokens)))
    return faster(f"{2 * directions} variants in one forward against serial, {rows} x {tokens} tokens", *interleaved(*sides, repeats=max(3, repeats // 3)))


def population(*, layers: int, members: int, rows: int, tokens: int, repeats: int, ceiling: bool) -> Result:
    """Members of a population through one forward, every matrix of the model perturbed with rank 1, against as many forwards of the bare model.

    `ceiling`: a forward of the bare model with as many rows instead, which no population can beat.
    """
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(RobertaConfig(num_hidden_layers=layers, max_position_embeddings=514)).eval()
    loss = closure(model, rows=rows, tokens=tokens)
    optimizer = ZOSGD(model.parameters(), lr=1e-6, num_directions=members, estimator="population", directions=LowRank(rank=1, refresh_every=1))
    optimizer.evaluator = Population(model)
    if ceiling:
        times = interleaved(closure(model, rows=members * rows, tokens=tokens), lambda: [loss() for _ in range(members)], repeats=repeats)
        return faster(f"one bare forward of {members * rows} x {tokens} tokens against {members} of {rows} x {tokens}: the most a population can gain", *times)
    times = interleaved(partial(optimizer.probe, loss), lambda: [loss() for _ in range(members)], repeats=repeats)
    return faster(f"low-rank population of {members} through one forward against {members} forwards, {rows} x {tokens} tokens", *times, at_least=2.2)


def adapted(config: PeftConfig, *, layers: int) -> nn.Module:
    torch.manual_seed(0)
    base = RobertaForSequenceClassification(RobertaConfig(num_hidden_layers=layers, max_position_embeddings=514))
    return get_peft_model(base, config).eval()


def closure(model: nn.Module, *, rows: int, tokens: int) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids_BL, labels_B = torch.randint(5, 50_000, (rows, tokens), generator=generator), torch.randint(0, 2, (rows,), generator=generator)
    mask_BL = torch.ones_like(ids_BL)

    @torch.no_grad()
    def loss() -> Tensor:
        return model(input_ids=ids_BL, attention_mask=mask_BL, labels=labels_B).loss

    return loss


def trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def many_tensors() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(TENSOR_SIZE, generator=generator)) for _ in range(TENSORS)]


def peak_bytes(run: Callable[[], object]) -> int:
    """Largest sum of allocations minus releases during `run`, from the allocator's own events."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = sorted((event.start_ns(), event.nbytes()) for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]")
    total, peak = 0, 0
    for _, size in events:
        total += size
        peak = max(peak, total)
    return peak


def interleaved(first: Callable[[], object], second: Callable[[], object], *, repeats: int) -> tuple[float, float]:
    """Median times of two sides that take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(-2, repeats):  # the first two warm up
        for index in (0, 1) if repeat % 2 == 0 else (1, 0):
            elapsed = timed((first, second)[index])
            if repeat >= 0:
                times[index].append(elapsed)
    return statistics.median(times[0]), statistics.median(times[1])


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def faster(name: str, ours: float, other: float, *, at_least: float | None = None) -> Result:
    """Return the ratio as 'times faster'."""
    return ratio(name, ours, other, unit="times faster", at_least=at_least)


def costs(name: str, ours: float, other: float, *, at_most: float) -> Result:
    """Ours over theirs, where a cost is bounded."""
    return Result(name, ours / other, "times the cost", ours, other, f"<= {at_most:g}", ours / other <= at_most)


def line(one: Result) -> str:
    times = f"  [{1e3 * one.ours:.3f} / {1e3 * one.other:.3f} ms]" if one.ours is not None and one.other is not None and one.unit != "ratio" else ""
    return f"{one.value:10.3f} {one.unit:15s} {one.name}{times}{one.verdict}"


if __name__ == "__main__":
    main()
