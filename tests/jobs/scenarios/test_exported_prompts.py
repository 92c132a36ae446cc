"""The card of an exported decoder says how to prompt it: its Python runs as it stands, and writes what training scored."""

import json
import re
from pathlib import Path

import pytest
import torch

from jobs.export import export_cell
from loretta_core.adapters.build import apply_method, save_adapter
from loretta_core.config import CellConfig
from loretta_core.models import load_model
from loretta_core.store.record_files import write_record
from tests.jobs.synthetic import finished_record

FILES = {"train": "train.jsonl", "validation": "dev.jsonl"}
TASKS = {
    "toy_instruct": {"type": "toy_instruct"},
    "chat": {"type": "chat", **FILES, "chat_template": "chatml", "system": "it was", "max_new_tokens": 4, "stop": ["the"]},
    "instruct": {"type": "instruct", **FILES, "max_new_tokens": 4},
    "jsonl": {
        "type": "jsonl",
        **FILES,
        "objective": "causal",
        "text": ["text", "more"],
        "optional": ["more"],
        "answer": "answer",
        "stop": ["\n"],
        "template": "{text:lower}{#more} and {more}{/more} ",
        "max_new_tokens": 4,
    },
    "toy_qa": {"type": "toy_qa"},
}


def exported(tmp_path: Path, task: dict, *, method: str) -> Path:
    settings = {"model": {"type": "pretrained", "name": "toy-llama"}, "task": task, "method": {"type": method}, "trainer": {"type": "adam"}}
    cell = CellConfig.model_validate(settings)
    torch.manual_seed(0)
    model = apply_method(load_model(cell.model, objective="causal", num_labels=1, dtype=torch.float32), method=cell.method, task_type="CAUSAL_LM")
    directory = tmp_path / "outputs" / "cells" / cell.cell_id
    save_adapter(model, directory / "adapter")
    write_record(finished_record(cell).model_copy(update={"adapter": "adapter"}), directory)
    export_cell(cell.cell_id, to=tmp_path / "exported", out=tmp_path / "outputs", merge=False)
    return tmp_path / "exported"


@pytest.mark.parametrize("name", TASKS)
def test_the_python_of_the_card_runs(name, tmp_path, capsys):
    directory = exported(tmp_path, TASKS[name], method="lora")
    card = (directory / "README.md").read_text()
    assert "## How to prompt it" in card
    names: dict = {}
    capsys.readouterr()
    for block in re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL):
        exec(block.replace("path/to/this/directory", str(directory)), names)
    written = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    if name in ("toy_instruct", "chat", "instruct"):
        assert (directory / "chat_template.jinja").is_file()
        assert written[0].strip() == written[-1].strip()  # generate and the pipeline say the same
    if name == "toy_instruct":
        assert written[0] == "warm"
        assert names["ends"] == [names["tokenizer"].convert_tokens_to_ids("\n")]


def test_a_system_prompt_and_stops_are_said(tmp_path):
    card = (exported(tmp_path, TASKS["chat"], method="loretta_adp") / "README.md").read_text()
    assert "the built-in chat template 'chatml', with </s> at the end of the assistant's turns" in card
    assert "{'role': 'system', 'content': 'it was'}" in card
    assert "Texts that end it, too: `'the'`" in card


def test_answers_that_are_ranked_are_listed(tmp_path):
    task = {"type": "jsonl", **FILES, "objective": "causal", "template": "{text} it was", "verbalizer": [" bad", " good"]}
    directory = exported(tmp_path, task, method="lora")
    assert "```text\n{text} it was\n```\n\n`' bad'`, `' good'`" in (directory / "README.md").read_text()
    assert json.loads((directory / "adapter_config.json").read_text())["base_model_name_or_path"] == "toy-llama"
