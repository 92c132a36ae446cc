"""A cell on a quantized base is the cell on the dequantized weights, to rounding: trained, saved, loaded; its memory is what the planner says."""

from importlib.util import find_spec

import pytest
import torch

from loretta_core.adapters.build import load_adapter
from loretta_core.config import cell_from_overrides
from loretta_core.models import load_model, load_tokenizer
from loretta_core.quantized.formats import is_quantized
from loretta_core.quantized.linear import dequantized
from loretta_core.train.run import run_cell
from tests.loretta_core.plan.test_memory import predicted_and_live

INSTALL = "needs bitsandbytes and torchao: pip install -c constraints.txt -e '.[quantized]'"
pytestmark = [
    pytest.mark.skipif(find_spec("bitsandbytes") is None or find_spec("torchao") is None, reason=INSTALL),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.integration,
]
SMALL = ("task=toy_sentiment", "task.train_rows=32", "task.validation_rows=16", "task.test_rows=16", "batch_size=8", "trainer.steps=4", "trainer.eval_every=2")
BASES = {"toy-bert": "prompt", "toy-llama": "causal"}
SLOW = pytest.mark.slow


def cell_on(model, form, *settings):
    objective = BASES.get(model, "causal")
    return cell_from_overrides([f"model={model}", *([f"model.quantization={form}"] if form else []), *SMALL, f"task.objective={objective}", *settings])


def dequantized_copy(name, form, directory):
    """Save a checkpoint whose weights are those that the quantized one stands for."""
    cell = cell_on(name, form, "method=lora", "trainer=adam")
    options = {"objective": cell.task.objective, "num_labels": 2, "dtype": torch.float32}
    base = load_model(cell.model, **options)
    twin = load_model(cell.model.model_copy(update={"quantization": None}), **options)
    for path, layer in base.named_modules():
        if is_quantized(getattr(layer, "weight", torch.zeros(()))):
            twin.get_submodule(path).weight.data = dequantized(layer, torch.float32).contiguous()
    twin.save_pretrained(directory)
    load_tokenizer(cell.model).save_pretrained(directory)
    return directory


@pytest.mark.parametrize(
    ("name", "form", "method", "trainer"),
    [
        ("toy-llama", "nf4", "loretta_adp", "adam"),
        ("toy-llama", "int8", "lora", "zo_sgd"),
        *(pytest.param("toy-llama", form, "loretta_rep", trainer, marks=SLOW) for form in ("8bit", "nf4", "int8", "float8") for trainer in ("adam", "zo_sgd")),
        *(pytest.param("toy-llama", "nf4", method, "adam", marks=SLOW) for method in ("lora", "adapters", "prefix", "prompt", "ia3", "tt_lora", "metatt")),
    ],
)
def test_the_dequantized_twin(tmp_path, name, form, method, trainer):
    settings = [f"method={method}", f"trainer={trainer}"]
    twin = dequantized_copy(name, form, tmp_path / "twin")
    ours = run_cell(cell_on(name, form, *settings), directory=tmp_path / "ours")
    theirs = run_cell(cell_on(str(twin), None, *settings), directory=tmp_path / "theirs")
    for curve in ("train_loss", "validation_loss"):
        assert [value for _, value in ours.curves[curve]] == pytest.approx([value for _, value in theirs.curves[curve]], abs=1e-4)
    assert (ours.cost.trainable_params, ours.cost.total_params) == (theirs.cost.trainable_params, theirs.cost.total_params)


@pytest.mark.parametrize("method", ["loretta_adp", *(pytest.param(method, marks=SLOW) for method in ("lora", "loretta_rep", "adapters"))])
@pytest.mark.parametrize("form", ["nf4", pytest.param("int8", marks=SLOW), pytest.param("8bit", marks=SLOW)])
def test_saved_and_loaded_beside_the_quantized_base(tmp_path, form, method):
    cell = cell_on("toy-llama", form, f"method={method}", "trainer=adam", "trainer.lr=0.01", "engine=plain")
    run_cell(cell, directory=tmp_path / "cell")
    bases = [load_model(cell.model, objective="causal", num_labels=2, dtype=torch.float32) for _ in range(3)]
    loaded = [load_adapter(base, tmp_path / "cell" / "adapter", method=cell.method).eval() for base in bases[:2]]
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        first, second, plain = (model(input_ids=ids).logits for model in (*loaded, bases[2]))
    assert torch.equal(first, second)
    assert not torch.allclose(first, plain, atol=1e-2)


@pytest.mark.parametrize(
    ("form", "trainer"), [("nf4", "adam"), *(pytest.param(form, trainer, marks=SLOW) for form in ("8bit", "int8", "float8") for trainer in ("adam", "zo_sgd"))]
)
def test_memory_is_as_planned(form, trainer):
    cell = cell_from_overrides(
        ["model=toy-bert", f"model.quantization={form}", "task=toy_sentiment", "task.train_rows=64", "task.validation_rows=40", "task.test_rows=70",
         "trainer.steps=4", "method=lora", f"trainer={trainer}"]
    )  # fmt: skip
    predicted, live = predicted_and_live(cell)
    assert predicted == pytest.approx(live, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["nf4", "8bit", "int8"])
def test_batched_and_serial_losses_agree(tmp_path, form):
    settings = ["method=loretta_adp", "trainer=zo_sgd"]
    serial = run_cell(cell_on("toy-llama", form, *settings), directory=tmp_path / "serial")
    batched = run_cell(cell_on("toy-llama", form, *settings, "trainer.batched=true"), directory=tmp_path / "batched")
    assert [value for _, value in batched.curves["train_loss"]] == pytest.approx([value for _, value in serial.curves["train_loss"]], abs=1e-4)
