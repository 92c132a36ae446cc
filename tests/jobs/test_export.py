"""`loretta export`: what it writes is loaded by peft and transformers and computes what the trained model computed; what it refuses, and how."""

import itertools
import json
import shlex
from pathlib import Path

import pytest

from jobs.export import export_cell, main
from loretta_core.config import CellConfig, cell_from_overrides, load_sweep
from loretta_core.errors import OutputError
from loretta_core.report.adapter_docs.loading_code import reproduce_command
from loretta_core.report.adapter_docs.model_card import model_card
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Failure, Record, Score
from tests.jobs.synthetic import finished_record
from tests.paths import ROOT

HEAD = "task={type = 'toy_sentiment', objective = 'head'}"
SWEEPS = sorted((ROOT / "jobs" / "sweeps").glob("*.toml"))


def trained(out: Path, cell: CellConfig):
    """A cell with weights that differ from the initial ones everywhere, its record beside them; returns the model."""
    import torch

    from loretta_core.adapters.build import apply_method, save_adapter
    from loretta_core.models import load_model

    torch.manual_seed(0)
    base = load_model(cell.model, objective=cell.task.objective, num_labels=2, dtype=torch.float32)
    model = apply_method(base, method=cell.method, task_type="SEQ_CLS" if cell.task.objective == "head" else "MASKED_LM")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    directory = out / "cells" / cell.cell_id
    save_adapter(model, directory / "adapter")
    write_record(_record(cell), directory)
    return model.eval()


def _record(cell: CellConfig) -> Record:
    return finished_record(cell).model_copy(update={"adapter": "adapter", "environment": {"torch": "2", "host": "secret-host", "device": "a CPU"}})


def logits(model):
    import torch

    with torch.no_grad():
        return model(input_ids=torch.arange(5, 29).reshape(2, 12)).logits


def run_code(code: str, *, directory: Path):
    """The Python that the card shows, with the directory filled in."""
    names: dict = {}
    exec(code.replace("path/to/this/directory", str(directory)), names)
    return names["model"].eval()


def code_blocks(card: str) -> list[str]:
    return [part.split("```")[0] for part in card.split("```python\n")[1:]]


@pytest.mark.integration
@pytest.mark.parametrize(("method", "task", "merges"), [("lora", HEAD, True), ("loretta_rep", "task=toy_sentiment", True), ("ft", "task=toy_sentiment", False)])
def test_what_is_written_computes_the_same(method, task, merges, out, capsys):
    import torch

    cell = cell_from_overrides(["model=toy-bert", task, f"method={method}", "trainer=adam"])
    expected = logits(trained(out, cell))
    assert main([cell.cell_id[:8], str(out / "exported"), "--out", str(out), *(["--merge"] if merges else [])]) == 0
    assert str(out / "exported") in capsys.readouterr().out
    blocks = code_blocks((out / "exported" / "README.md").read_text())
    assert len(blocks) == 1 + merges
    for code in blocks:
        torch.testing.assert_close(logits(run_code(code, directory=out / "exported")), expected, atol=1e-5, rtol=1e-4)
    assert {path.suffix for path in (out / "exported").rglob("*") if path.is_file()} <= {".safetensors", ".json", ".md", ".txt"}
    assert not list(out.glob(".exported*"))
    if method != "ft":
        assert json.loads((out / "exported" / "adapter_config.json").read_text())["base_model_name_or_path"] == "toy-bert"


@pytest.mark.integration
@pytest.mark.parametrize("task", [HEAD, "task=toy_sentiment"])
def test_as_lora_it_computes_the_same_and_says_what_goes_along(task, out, capsys):
    import torch

    cell = cell_from_overrides(["model=toy-bert", task, "method={type = 'loretta_rep', train_norms = false}", "trainer=adam"])
    expected = logits(trained(out, cell))
    assert main([cell.cell_id, str(out / "exported"), "--as", "lora", "--out", str(out), "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert len(notes) == (task == HEAD)
    assert all(note.startswith("trained in full and saved with it (modules_to_save): ") and "classifier" in note for note in notes)
    config = json.loads((out / "exported" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == ("LORA", 8, 16, "toy-bert")
    card = (out / "exported" / "README.md").read_text()
    assert "- type of adapter: LORA" in card
    torch.testing.assert_close(logits(run_code(code_blocks(card)[0], directory=out / "exported")), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("loretta_rep", "trained norms are no part of a LoRA adapter"),
        ("lora", "is a LoRA adapter already"),
        ("loretta_adp", "loretta_adp is no LoRA: only loretta_rep"),
        ("ft", "ft is no LoRA"),
    ],
)
def test_what_is_no_lora_is_refused_and_leaves_nothing(method, expected, out, capsys):
    cell = cell_from_overrides(["model=toy-bert", "task=toy_sentiment", f"method={method}", "trainer=adam"])
    trained(out, cell)
    assert main([cell.cell_id, str(out / "exported"), "--as", "lora", "--out", str(out)]) == 2
    assert expected in capsys.readouterr().err
    assert not [path for path in out.iterdir() if "exported" in path.name]


@pytest.mark.integration
@pytest.mark.parametrize(("method", "expected"), [("ft", "whole model already"), ("loretta_adp", "cannot be merged"), ("prompt", "cannot be merged")])
def test_what_cannot_be_merged_is_refused_and_leaves_nothing(method, expected, out, capsys):
    cell = cell_from_overrides(["model=toy-bert", "task=toy_sentiment", f"method={method}", "trainer=adam"])
    _weights(out, cell)
    assert main([cell.cell_id, str(out / "exported"), "--merge", "--out", str(out)]) == 2
    assert expected in capsys.readouterr().err
    assert not [path for path in out.iterdir() if "exported" in path.name]


def test_wrong_requests_are_refused(out, cell, capsys):
    config = cell()
    assert main(["zz", str(out / "new"), "--out", str(out)]) == 2
    assert "error: 'zz' names no cells" in capsys.readouterr().err
    write_record(finished_record(config), out / "cells" / config.cell_id)
    assert main([config.cell_id, str(out), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    with pytest.raises(OutputError, match="the trained weights are gone"):
        export_cell(config.cell_id, to=out / "new", out=out, merge=False)
    failed = finished_record(config).model_copy(update={"status": "failed", "score": Score(), "error": Failure(kind="nan", message="the loss is nan")})
    write_record(failed, out / "cells" / config.cell_id)
    with pytest.raises(OutputError, match="is not finished, it failed: the loss is nan"):
        export_cell(config.cell_id, to=out / "new", out=out, merge=False)
    assert not (out / "new").exists()


def test_pickles_are_not_exported(out, cell, capsys):
    config = cell()
    _weights(out, config)
    (out / "cells" / config.cell_id / "adapter" / "training_args.bin").write_bytes(b"\x80")
    assert main([config.cell_id, str(out / "new"), "--out", str(out), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["cell_id"] == config.cell_id
    assert written["directory"] == str(out / "new")
    assert written["contents"] == sorted(path.name for path in (out / "new").iterdir()) == ["README.md", "adapter_model.safetensors", "cell.json"]


def test_the_card_says_what_the_record_says(cell):
    card = model_card(cell(), record=_record(cell()), merged=False)
    for expected in (
        "0.900, 95 % interval 0.880 to 0.920, on 100 rows",
        "before training: 0.500",
        "loretta run --set",
        "`toy-bert`",
        "- torch: 2",
        "task: toy_sentiment",
    ):
        assert expected in card
    assert "secret-host" not in card


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_command_of_the_card_computes_the_same_cell(path):

    for cell in load_sweep(path).cells[:40]:
        words = shlex.split(reproduce_command(cell))
        overrides = [value for name, value in itertools.pairwise(words) if name == "--set"]
        again = cell_from_overrides(overrides)
        assert again.cell_id == cell.cell_id


def _weights(out: Path, cell: CellConfig) -> None:
    directory = out / "cells" / cell.cell_id
    write_record(_record(cell), directory)
    (directory / "adapter").mkdir()
    (directory / "adapter" / "adapter_model.safetensors").write_bytes(b"")
