"""The code that a report prints to load a cell's weights: it is run, in another process, and gives the model that was saved."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loretta_core.report.adapter_docs.loading_code import loading_code
from tests.loretta_core.report.synthetic import make_cell
from tests.paths import ROOT

HEAD = ("task=jsonl", "task.train=train.jsonl", "task.validation=validation.jsonl", 'task.labels=["bad", "so-so", "good"]')


def cell_of(method, *, head=False):
    from loretta_core.config import cell_from_overrides

    return cell_from_overrides(["model=toy-bert", *(HEAD if head else ["task=toy_sentiment"]), f"method={method}", "trainer=adam"])


@pytest.mark.parametrize("method", ["loretta_adp", "loretta_rep", "lora", "adapters", "ft"])
@pytest.mark.parametrize("directory", ["outputs/cells/x/adapter", "with 'quotes' and \\ and \"more\""])
def test_it_is_python_whatever_the_path(method, directory):
    tree = ast.parse(loading_code(make_cell(method), adapter=Path(directory)))
    assert directory in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]


def test_models_from_elsewhere_are_named_as_in_the_cell():
    code = loading_code(make_cell("lora", "adam", "model=org/name", "model.revision=abc"), adapter=Path("a"))
    assert "AutoModelForMaskedLM.from_pretrained('org/name', revision='abc')" in code


@pytest.mark.integration
def test_it_gives_the_model_that_was_saved(tmp_path):
    """A full fine-tuning without a head and an adapter with one, in one process."""
    import torch
    from safetensors.torch import load_file

    expected, script = {}, "import torch\nfrom safetensors.torch import save_file\n"
    for method, head in (("ft", False), ("loretta_rep", True)):
        cell, adapter = cell_of(method, head=head), Path("outputs") / method  # relative, as the default of --out is
        expected[method] = _saved(cell, tmp_path / adapter, head=head)
        logits = "model.eval()(torch.arange(5, 25).reshape(2, 10)).logits.contiguous()"
        script += f"{loading_code(cell, adapter=adapter)}\nwith torch.no_grad():\n    save_file({{'logits': {logits}}}, '{method}.safetensors')\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for method, logits in expected.items():
        torch.testing.assert_close(load_file(tmp_path / f"{method}.safetensors")["logits"], logits, rtol=1e-4, atol=1e-5)


def _saved(cell, directory, *, head):
    """Train nothing, but move every trainable weight, so that a file that is not read shows; returns the logits."""
    import torch

    from loretta_core.adapters.build import apply_method, save_adapter
    from loretta_core.models import load_model

    torch.manual_seed(0)
    base = load_model(cell.model, objective=cell.task.objective, num_labels=3 if head else 2, dtype=torch.float32)
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        before = base(ids).logits
        model = apply_method(base, method=cell.method, task_type="SEQ_CLS" if head else "MASKED_LM").eval()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape)
        after = model(ids).logits
    assert after.shape[-1] == 3 if head else after.shape == before.shape
    assert (after - before).abs().max() > 0.05
    save_adapter(model, directory)
    return after
