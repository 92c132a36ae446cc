"""Model card of an exported cell: README.md with the metadata that model hubs read, what was trained on what, how it scored, and how to use it.

Says only what the record says; a number that was not measured is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from loretta_core.config import CellConfig
from loretta_core.config.model import TOY_MODELS
from loretta_core.report import units
from loretta_core.report.adapter_docs.loading_code import loading_code, merged_code, reproduce_command
from loretta_core.report.adapter_docs.prompting import ChatFacts, prompting_section
from loretta_core.store.adapter_card import adapter_facts
from loretta_core.store.records import Record

Facts = Sequence[tuple[str, str]]

MERGED_NAME = "merged"
"""Directory of the merged model beside the adapter."""


def model_card(cell: CellConfig, *, record: Record, merged: bool, adapter: Mapping[str, Any] | None = None, chat: ChatFacts | None = None) -> str:
    """Return the card as Markdown.

    Args:
        merged: a plain model lies in `merged/` beside the adapter.
        adapter: the content of adapter_config.json; None for a whole model.
        chat: the chat format of a cell whose task is a conversation.
    """
    as_lora = adapter is not None and adapter["peft_type"] == "LORA"
    parts = [
        _front_matter(cell, record),
        f"# {cell.method.short_name} on {cell.task.type}, from {cell.model.caption}",
        _summary(cell, record),
        _section("Scores", _scores(record)),
        _section("Cost", _cost(record)),
        _section("Data", _data(cell, record)),
        _section("Model", _model(cell, adapter)),
        f"## How to load\n\n```python\n{loading_code(cell, adapter=_HERE, as_lora=as_lora)}\n```",
    ]
    if merged:
        parts.append(f"The same function without PEFT, and without this project:\n\n```python\n{merged_code(cell, directory=_HERE / MERGED_NAME)}\n```")
    if (prompting := prompting_section(cell, directory=_HERE, chat=chat)) is not None:
        parts.append(prompting)
    parts += [
        f"## How to train it again\n\n```sh\n{reproduce_command(cell)}\n```",
        _section("Versions", list(_versions(record))),
        f"## Every setting\n\n```json\n{json.dumps(cell.to_dict(), indent=1, ensure_ascii=False)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_HERE = PurePosixPath("path/to/this/directory")


def _front_matter(cell: CellConfig, record: Record) -> str:
    """Write the metadata as YAML in its JSON form, which needs no rules for quoting."""
    library = "transformers" if cell.method.every_weight_trains else "peft"
    kind = {"causal": "text-generation", "tokens": "token-classification"}.get(cell.task.objective, "text-classification")
    result = {"task": {"type": kind}, "dataset": {"name": cell.task.type, "type": cell.task.type}}
    split, value = ("validation", record.score.validation) if record.unscored else ("test", record.score.value)
    metrics = [{"type": record.score.name, "value": value, "name": f"{split} {record.score.name}"}]
    fields: dict[str, Any] = {
        "library_name": library,
        "tags": ["loretta-on-ray", cell.method.short_name, cell.trainer.type],
        "model-index": [{"name": cell.label, "results": [{**result, "metrics": metrics}]}],
    }
    if cell.model.name not in TOY_MODELS and not cell.model.name.startswith((".", "/", "~")):
        fields["base_model"] = cell.model.name
    return "\n".join(["---", *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()), "---"])


def _summary(cell: CellConfig, record: Record) -> str:
    how = "forward passes only (zeroth order)" if cell.trainer.zeroth_order else "gradients"
    trained = f"{units.count(record.cost.trainable_params)} of {units.count(record.cost.total_params)} parameters"
    return f"`{cell.method.caption}` trained {trained} of `{cell.model.name}` by `{cell.trainer.type}`, with {how}. Cell `{cell.cell_id}`."


def _scores(record: Record) -> Facts:
    interval = f", 95 % interval {units.share(record.score.low)} to {units.share(record.score.high)}" if record.score.low is not None else ""
    if record.unscored:
        test = "not scored: the cell is a trial, which was judged on validation rows alone"
    else:
        test = f"{units.share(record.score.value)}{interval}, on {units.count(record.score.rows)} rows"
    return [
        (f"test {record.score.name}", test),
        ("before training", units.share(record.score.initial)),
        ("validation, which chose the checkpoint", f"{units.share(record.score.validation)} at step {record.score.best_step}"),
        *[("note", warning) for warning in record.warnings],
    ]


def _cost(record: Record) -> Facts:
    return [
        ("steps", f"{units.count(record.cost.steps)}, {units.count(record.cost.forwards)} forward passes of a batch"),
        ("training time", units.seconds(record.cost.train_s)),
        ("peak memory", units.size(record.cost.peak_memory_bytes)),
        ("weights on disk", units.size(record.cost.checkpoint_bytes)),
        ("scoring a test row", _per_row(record)),
        ("device", record.environment.get("device", units.DASH)),
    ]


def _per_row(record: Record) -> str:
    rows, took_s = record.score.rows, record.cost.test_s
    return f"{1000 * took_s / rows:.1f} ms, of {units.count(rows)} together" if rows and took_s is not None else units.DASH


def _model(cell: CellConfig, adapter: Mapping[str, Any] | None) -> Facts:
    base = [("base model", f"`{cell.model.name}`"), ("revision", f"`{cell.model.revision}`" if cell.model.revision else "not pinned")]
    if cell.model.quantization:
        base.append(
            ("base in training", f"quantized, `{cell.model.quantization}`; the outputs of training need it so, beside other weights they differ a little")
        )
    return base if adapter is None else [*base, *adapter_facts(adapter)]


def _data(cell: CellConfig, record: Record) -> Facts:
    settings = cell.task.model_dump(mode="json", exclude={"type"})
    shown = {name: value for name, value in settings.items() if value is not None}
    return [("task", cell.task.type), *((name, f"`{value}`") for name, value in shown.items()), ("digest of the rows", f"`{record.digests.inputs}`")]


def _versions(record: Record) -> Facts:
    """List versions and times, without the name of the machine, which says nothing to anybody else."""
    known = {name: value for name, value in record.environment.items() if name not in ("host", "device")}
    return [*known.items(), ("trained", f"{record.started_at} to {record.finished_at}")]


def _section(title: str, facts: Facts) -> str:
    return "\n".join([f"## {title}", "", *(f"- {name}: {value}" for name, value in facts)])
