"""The planner's answer (fits, engine, advice): the statement of the seed experiments, and the laws of the planner."""

import time

import pytest

from jobs.scheduling.admission import admit
from jobs.scheduling.resources import Node
from loretta_core.config import CellConfig, cell_from_overrides, load_sweep
from loretta_core.config.engine import Plain, Zero
from loretta_core.errors import ConfigError, ResourceError
from loretta_core.plan.devices import DEVICES, Devices, cpu_device, device_named, parse_devices
from loretta_core.plan.placement.engine_options import try_engine
from loretta_core.plan.placement.fit import choose, plan_on
from loretta_core.plan.sizing import size

LLAMA = ["model=meta-llama/Llama-2-7b-hf", 'task={type="sst2", objective="causal"}', "batch_size=16"]


def llama(*more: str, method: str = "ft", trainer: str = "adam") -> CellConfig:
    return cell_from_overrides([*LLAMA, f"method={method}", f"trainer={trainer}", *more])


def row(cell: CellConfig, devices: str):
    return plan_on(cell, parse_devices(devices))


# The seed document: everything fits in 40 GB but full Adam fine-tuning of Llama-2-7B, which needs about 80 GB.


def test_full_adam_holds_53_9_gb_before_activations_in_bf16_and_107_8_in_mixed():
    for precision, gigabytes in (("bf16", 53.9), ("mixed", 107.8)):
        parts = row(llama(f"precision={precision}"), "a100-80gb").parts
        # mixed keeps a bf16 gradient: 2 + 2 + 4 + 8 bytes
        held = parts["weights"] + parts["gradients"] + parts["optimizer"] + parts["masters"]
        assert held / 1e9 == pytest.approx(gigabytes, abs=0.05)


def test_a_reward_costs_the_writing_of_every_evaluation():
    """On an H100 a token reads the weights of Llama-2-7B, 27 GB in fp32, once: 50 tokens take 50 times as long, twice a step."""
    settings = ["task=squad", "task.max_new_tokens=50"]
    of_loss, of_reward = (row(llama(*settings, f"trainer.learns_from={kind}", method="lora", trainer="zo_sgd"), "h100-80gb") for kind in ("loss", "reward"))
    device = device_named("h100-80gb")
    assert of_reward.step_s - of_loss.step_s == pytest.approx(2 * 50 * 26.95e9 / device.bandwidth, rel=0.02)
    assert of_reward.peak_bytes == of_loss.peak_bytes


@pytest.mark.parametrize(
    ("devices", "precision", "fits", "engine"),
    [
        ("a100-40gb", "bf16", False, "zero-2 × 1, offload cpu"),
        ("a100-80gb", "bf16", True, "plain"),
        ("h100-80gb", "bf16", True, "plain"),
        ("a100-40gb:2", "bf16", True, "zero-3 × 2"),
        ("a100-80gb", "mixed", False, "zero-2 × 1, offload cpu"),
        ("a100-40gb:2", "mixed", False, "zero-2 × 1, offload cpu"),
        ("a100-80gb:2", "mixed", True, "zero-1 × 2"),
        ("h100-80gb:4", "bf16", True, "plain"),
    ],
)
def test_full_adam_fine_tuning_of_llama_2_7b(devices, precision, fits, engine):
    found = row(llama(f"precision={precision}"), devices)
    assert (found.fits, found.engine) == (fits, engine)
    assert (found.advice is None) == fits


@pytest.mark.parametrize(
    "cell", [llama(trainer="zo_sgd"), llama("precision=bf16", method="lora"), llama("precision=bf16", method="lora", trainer="zo_sgd")]
)  # fmt: skip
def test_the_other_seed_cells_fit_in_40_gb(cell):
    assert row(cell, "a100-40gb").fits is True


def test_auto_takes_the_cheapest_engine_that_fits():
    cell = llama("precision=bf16", "engine=auto")
    chosen = {devices: choose(cell, parse_devices(devices)).engine for devices in ("a100-80gb", "a100-40gb:2", "a100-40gb")}
    assert chosen["a100-80gb"] == Plain(type="plain")
    assert chosen["a100-40gb:2"] == Zero(type="zero", stage=3, workers=2)
    assert chosen["a100-40gb"] == Zero(type="zero", stage=2, workers=1, offload="cpu")
    assert choose(cell, parse_devices("a100-40gb:2")).cell_id == cell.cell_id


def test_a_refusal_says_how_much_of_what_and_what_would_fit():
    with pytest.raises(ResourceError, match=r"needs 67\.4 GB, most of it optimizer state, and a100-40gb gives it 40\.4 GB; it fits with engine = zero-2 × 1"):
        choose(llama("precision=bf16"), parse_devices("a100-40gb"))


def test_zero_shares_by_the_table_of_its_paper():
    sized = size(llama("precision=mixed"))
    whole = try_engine(sized, Plain(type="plain"), parse_devices("a100-80gb")).memory
    stages = {stage: try_engine(sized, Zero(type="zero", stage=stage, workers=4), parse_devices("a100-80gb:4")).memory for stage in (1, 2, 3)}
    for memory in stages.values():
        assert memory.optimizer == whole.optimizer // 4
        assert memory.masters == whole.masters // 4
    assert stages[1].gradients == whole.gradients
    assert stages[2].gradients == stages[3].gradients == whole.gradients // 4
    assert stages[1].weights == stages[2].weights == whole.weights
    assert stages[3].weights == pytest.approx(whole.weights / 4 + 2e9)  # gathered for the moment


def test_checkpointing_keeps_a_fraction_of_the_activations():
    parts = row(llama("precision=bf16"), "a100-80gb").parts
    assert parts["activations_checkpointed"] < parts["activations"] / 10


@pytest.mark.parametrize("more", [["batch_size=32"], ["task.max_length=36"]], ids=["rows", "tokens"])
def test_activations_grow_with_rows_and_tokens(more):
    first, second = (row(llama("precision=bf16", *each), "a100-80gb").parts["activations"] for each in ([], more))
    assert max(first, second) / min(first, second) == pytest.approx(2, rel=0.05)


def test_accumulation_is_offered_where_activations_are_the_problem():
    found = row(cell_from_overrides(["model=roberta-large", 'task={type="rte", objective="head"}', "method=ft", "trainer=adam", "batch_size=64"]), "t4-16gb")
    assert found.fits is False
    assert found.advice.startswith("with engine.gradient_accumulation = ")


def test_cost_is_known_where_a_price_is():
    priced, free = row(llama("precision=bf16"), "h100-80gb"), row(llama("precision=bf16"), "h200-141gb")
    assert priced.usd == pytest.approx(DEVICES["h100-80gb"].price * priced.total_s / 3600)
    assert free.usd is None
    assert free.step_s < row(llama("precision=bf16"), "a100-80gb").step_s


@pytest.mark.parametrize(
    ("text", "message"), [("b200", "unknown device 'b200'. Known: a100-40gb"), ("a100-80gb:0", "no number of devices"), ("a100-80gb:x", "no number")]
)
def test_a_device_that_is_not_known_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_devices(text)


@pytest.mark.parametrize(
    ("name", "device"),
    [("NVIDIA A100-SXM4-80GB", "a100-80gb"), ("NVIDIA A100-PCIE-40GB", "a100-40gb"), ("NVIDIA H100 80GB HBM3", "h100-80gb"), ("NVIDIA H200", "h200-141gb"),
     ("NVIDIA GeForce RTX 4090", "rtx-4090-24gb"), ("Tesla T4", "t4-16gb"), ("A100", None), ("NVIDIA GeForce GTX 1080", None)],
)  # fmt: skip
def test_cuda_names_are_found_in_the_table(name, device):
    found = device_named(name)
    assert (found and found.name) == device


def test_ten_thousand_cells_are_planned_in_three_seconds():
    cells = [llama("precision=bf16", f"seed={seed}", method=method) for method in ("ft", "lora", "loretta_adp") for seed in range(10)]
    kinds = [parse_devices(text) for text in ("a100-40gb", "a100-80gb")]
    plan_on(cells[0], kinds[0])
    started = time.process_time()
    for index in range(10_000):
        plan_on(cells[index % len(cells)], kinds[index % 2])
    assert time.process_time() - started < 3.0


# Before a worker starts.


TOY = ["model=toy-bert", "task=toy_sentiment", "method=ft", "trainer=adam"]


def test_a_sweep_refuses_what_no_node_holds_and_places_the_rest():
    small, large = cell_from_overrides(TOY), llama()
    admission = admit([small, large], [Node(2, memory_bytes=16 * 1024**3)])
    assert admission.placed == (small,)
    assert [cell for cell, _ in admission.refused] == [large]
    assert "cannot fit: a worker needs 1" in admission.refused[0][1]
    assert "it fits" in admission.refused[0][1]


def test_an_auto_cell_is_settled_on_what_the_cluster_has():
    auto = cell_from_overrides([*TOY, "engine=auto", "engine.cpus=2"])
    assert admit([auto], [Node(4, memory_bytes=16 * 1024**3)]).placed[0].engine == Plain(type="plain", cpus=2)
    assert admit([auto], [Node(4)]).placed[0].engine == Plain(type="plain", cpus=2)  # nothing known of its memory
    named = llama("precision=bf16", "engine=auto", "engine.gpus=1", 'engine.device="a100-40gb:2"')
    assert admit([named], []).placed[0].engine == Zero(type="zero", stage=3, workers=2, gpus=1)


def test_gpus_are_recognised_by_what_ray_calls_them():
    cell = llama("precision=bf16", "engine.gpus=1")
    assert admit([cell], [Node(8, 1, accelerator="NVIDIA A100-SXM4-40GB")]).refused
    assert admit([cell], [Node(8, 1, accelerator="H100")]).placed
    assert admit([cell], [Node(8, 1, accelerator="NPU")]).placed  # not in the table: let through


def test_what_cannot_be_counted_is_let_through():
    unknown = cell_from_overrides(["model=somebody/else", *TOY[1:]])
    assert admit([unknown], [Node(1, memory_bytes=1)]).placed == (unknown,)
    assert plan_on(unknown, parse_devices("a100-80gb")).fits is None


def test_workers_share_the_memory_of_a_cpu():
    cell = cell_from_overrides([*TOY, "engine=ddp"])
    trial = try_engine(size(cell), cell.engine, Devices(cpu_device(memory_bytes=10_000_000_000, cores=1), 2))
    assert trial.usable == 5_000_000_000 - 600_000_000


def test_every_sweep_of_the_repository_can_be_planned():
    for row_ in (plan_on(cell, parse_devices("a100-80gb")) for cell in load_sweep("jobs/sweeps/llama_sst2.toml").cells):
        assert row_.fits is True
