"""`loretta evaluate`: the harness's own numbers for a cell's own model, kept in its record; what it refuses, and how."""

import importlib.util
import json

import pytest
import torch

from jobs import evaluate
from jobs.evaluate import evaluate_cell, main
from loretta_core.adapters.build import apply_method, save_adapter
from loretta_core.config import cell_from_overrides
from loretta_core.models import load_model, load_tokenizer
from loretta_core.store.record_files import read_record, write_record
from loretta_core.store.records import Failure
from services import cli
from tests.jobs.synthetic import finished_record

needs_harness = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason='pip install "loretta-on-ray[evaluate]"')

TASK = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}} it was"
doc_to_choice: ["bad", "good"]
doc_to_target: label
metric_list:
  - metric: acc
metadata:
  version: 1.0
"""


def trained(out, method="loretta_adp", model="toy-llama", task="toy_entailment"):
    """A cell whose weights differ from the initial ones, its record beside them; returns the cell and its model."""
    cell = cell_from_overrides([f"model={model}", f"task={task}", f"method={method}", "trainer=adam"])
    torch.manual_seed(0)
    base = load_model(cell.model, objective=cell.task.objective, num_labels=2, dtype=torch.float32)
    model = apply_method(base, method=cell.method, task_type="CAUSAL_LM" if cell.task.objective == "causal" else "MASKED_LM")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    directory = out / "cells" / cell.cell_id
    save_adapter(model, directory / "adapter")
    write_record(finished_record(cell).model_copy(update={"adapter": "adapter"}), directory)
    return cell, model.eval()


@pytest.fixture
def tasks(tmp_path):
    """A directory with a task of the harness of twelve rows."""
    directory = tmp_path / "tasks"
    directory.mkdir()
    rows = [
        {"text": f"the {noun} was {adjective} , and", "label": number % 2} for number, (noun, adjective) in enumerate([("film", "long"), ("plot", "dull")] * 6)
    ]
    (directory / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (directory / "small.yaml").write_text(TASK.format(name="small_sentiment", rows=directory / "rows.jsonl"))
    return directory


@needs_harness
@pytest.mark.slow
@pytest.mark.parametrize("method", ["loretta_adp", "lora", "prompt", "ft"])
def test_scores_are_those_of_the_harness_called_directly(method, tmp_path, tasks, capsys):
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    cell, model = trained(tmp_path, method)
    direct = lm_eval.simple_evaluate(
        model=HFLM(pretrained=model, tokenizer=load_tokenizer(cell.model), backend="causal", batch_size=16),
        tasks=["small_sentiment"],
        task_manager=TaskManager(include_path=tasks, include_defaults=False),
    )["results"]["small_sentiment"]
    asked = [cell.cell_id[:6], "--tasks", "small_sentiment", "--include-path", str(tasks), "--out", str(tmp_path)]
    assert main([*asked, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])["small_sentiment"]
    assert printed["metrics"] == {"acc": direct["acc,none"], "acc_stderr": direct["acc_stderr,none"]}
    record = read_record(tmp_path / "cells" / cell.cell_id)
    assert record.evaluations["small_sentiment"].model_dump() == printed
    assert (printed["rows"], printed["limit"], printed["shots"], printed["version"]) == (12, None, 0, "1.0")


@needs_harness
@pytest.mark.slow
def test_a_later_call_replaces_its_own_task_only(tmp_path, tasks, capsys):
    cell, _ = trained(tmp_path)
    (tasks / "other.yaml").write_text(TASK.format(name="other", rows=tasks / "rows.jsonl"))
    evaluate_cell(cell.cell_id, tasks=["small_sentiment", "other"], out=tmp_path, include=tasks)
    found = evaluate_cell(cell.cell_id, tasks=["other"], out=tmp_path, include=tasks, limit=4)
    kept = read_record(tmp_path / "cells" / cell.cell_id).evaluations
    assert kept["other"] == found["other"]
    assert (kept["other"].rows, kept["other"].limit, kept["small_sentiment"].rows) == (4, 4, 12)
    assert main([cell.cell_id, "--tasks", "nothing", "--include-path", str(tasks), "--out", str(tmp_path)]) == 2
    assert "no task 'nothing'" in (told := capsys.readouterr().err)
    assert "other, small_sentiment" in told
    (tasks / "rows.jsonl").unlink()
    assert main([cell.cell_id, "--tasks", "other", "--include-path", str(tasks), "--out", str(tmp_path)]) == 2
    assert "could not read the data" in capsys.readouterr().err


def test_what_it_refuses(tmp_path, tasks, capsys, monkeypatch):
    cell, _ = trained(tmp_path)
    encoder, _ = trained(tmp_path, model="toy-bert", task="toy_sentiment")
    directory = tmp_path / "cells" / cell.cell_id

    def error(name, *more):
        assert main([name, "--tasks", "small_sentiment", *more, "--out", str(tmp_path)]) == 2
        return capsys.readouterr().err

    assert "names no cells" in error("zz")
    assert 'train a decoder with task.objective = "causal"' in error(encoder.cell_id)
    assert "no such directory" in error(cell.cell_id, "--include-path", str(tmp_path / "none"))
    assert "expected 1 or more rows" in error(cell.cell_id, "--limit", "0")
    assert "names none" in error(cell.cell_id, "--tasks", " , ")
    monkeypatch.setattr(evaluate.importlib.util, "find_spec", lambda name: None)
    assert 'pip install "loretta-on-ray[evaluate]"' in error(cell.cell_id)
    record = read_record(directory)
    write_record(record.model_copy(update={"status": "failed", "error": Failure(kind="nan", message="the loss is nan")}), directory)
    assert "is not finished, it failed: the loss is nan" in error(cell.cell_id)
    write_record(record, directory)
    for file in (directory / "adapter").glob("*.safetensors"):
        file.unlink()
    assert "the trained weights are gone" in error(cell.cell_id)


def test_the_command_runs_the_module(monkeypatch):
    ran = []
    monkeypatch.setattr("services.commands.cells.subprocess.run", lambda words, check: ran.append(words[2:]) or type("Done", (), {"returncode": 0}))
    assert cli.main(["evaluate", "abc", "--tasks", "a,b", "--include-path", "tasks", "--limit", "5", "--json"]) == 0
    assert ran == [["jobs.evaluate", "abc", "--tasks", "a,b", "--out", "outputs", "--include-path", "tasks", "--limit", "5", "--json"]]
