"""The loader of our models in MLflow: `mlflow.pyfunc.load_model("models:/NAME@alias")`. Reads safetensors and JSON; there is no pickle in a model.

model.predict(table)                   labels, numbers or texts for rows with the task's columns
model.get_raw_model()                  the PeftModel (the whole model for ft), on the base of the cell
load_model(…, model_config={"base": "path/to/base"})      on a local copy of the base
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError, OutputError
from loretta_core.store.adapter_files import ADAPTER_NAME
from loretta_core.store.records import DataFacts

if TYPE_CHECKING:
    from torch import nn

DATA_NAME = "data.json"
"""The facts on the rows, beside cell.json in a model's data directory."""

REFERENCE_NAME = "adapter.json"
"""In place of the weights where they are too large to copy: their path, size and digest."""

BATCH = 64
"""Rows per forward."""


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> AdapterModel:
    """Load a model; MLflow calls this. `model_config`: `base` names another copy of the base, a directory or a hub id."""
    directory = Path(path)
    cell = CellConfig.from_json((directory / "cell.json").read_text(encoding="utf-8"))
    facts = DataFacts.model_validate_json((directory / DATA_NAME).read_text(encoding="utf-8"))
    unknown = (model_config or {}).keys() - {"base"}
    if unknown:
        raise ConfigError(f"model_config has {', '.join(sorted(unknown))}; known is `base`, a directory or a hub id")
    if base := (model_config or {}).get("base"):
        cell = cell.model_copy(update={"model": cell.model.model_copy(update={"name": str(base)})})
    return AdapterModel(cell, facts, adapter=_weights(directory))


class AdapterModel:
    """A base model with what a cell trained.

    Args:
        adapter: directory of the trained weights.
    """

    def __init__(self, cell: CellConfig, facts: DataFacts, *, adapter: Path) -> None:
        self.cell = cell
        self._facts = facts
        self._model = _load(cell, facts, adapter)

    def get_raw_model(self) -> nn.Module:
        """Return the PeftModel, or the whole model for ft."""
        return self._model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the label, number or text of each row, given as a pandas DataFrame or a list of dicts with the task's columns.

        Raises ConfigError for missing columns, and for tasks whose rows have answers of their own to choose from.
        """
        import torch

        from loretta_core.models import load_tokenizer
        from loretta_core.tasks.build import build_objective
        from loretta_core.tasks.collate import Collator
        from loretta_core.tasks.data.rows import Row

        rows = [Row(text, 0, candidates=tuple(self._candidates()), answers=self._answers(), lead=self._facts.lead) for text in self._texts(model_input)]
        tokenizer = load_tokenizer(self.cell.model)
        objective = build_objective(self.cell.task, tokenizer=tokenizer, num_labels=len(self._facts.labels) or 1)
        collate = Collator(tokenizer, device=next(self._model.parameters()).device)
        found: list[Any] = []
        with torch.no_grad():
            for first in range(0, len(rows), BATCH):
                found += objective.evaluate(self._model, collate(objective.encode(rows[first : first + BATCH]))).predictions
        return [self._facts.labels[value] if self._facts.labels and isinstance(value, int) else value for value in found]

    def _texts(self, model_input: Any) -> list[dict[str, str]]:
        records: Sequence[Mapping[str, Any]] = model_input.to_dict("records") if hasattr(model_input, "to_dict") else list(model_input)
        for number, record in enumerate(records):
            missing = [name for name in self._facts.columns if name not in record]
            if missing:
                raise ConfigError(f"row {number} has no {', '.join(missing)}; expected the columns {', '.join(self._facts.columns)}")
        return [{name: str(record[name]) for name in self._facts.columns} for record in records]

    def _candidates(self) -> list[str]:
        if self._facts.candidates is None:
            raise ConfigError(f"rows of {self.cell.task.type} have answers of their own to choose from: use get_raw_model() and score them")
        return self._facts.candidates

    def _answers(self) -> tuple[str, ...]:
        """Return a stand-in for the reference of a written answer, which is not known."""
        written = self.cell.task.objective == "causal" and not self._facts.candidates
        return (" ",) if written else ()


def _weights(directory: Path) -> Path:
    if (directory / ADAPTER_NAME).is_dir():
        return directory / ADAPTER_NAME
    reference = json.loads((directory / REFERENCE_NAME).read_text(encoding="utf-8"))
    if not Path(reference["path"]).is_dir():
        size = reference["bytes"] / 2**20
        raise OutputError(
            f"the weights ({size:,.0f} MiB) are in MLflow by reference, and {reference['path']} is not there: load it where that directory is, or register the "
            "cell with `loretta export CELL --register NAME`, which copies them"
        )
    return Path(reference["path"])


def _load(cell: CellConfig, facts: DataFacts, adapter: Path) -> nn.Module:
    import torch  # seconds of import that a wrong argument need not wait for

    from loretta_core.adapters.build import load_adapter
    from loretta_core.models import load_model

    base = load_model(cell.model, objective=cell.task.objective, num_labels=len(facts.labels) or 1, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`base_model_name_or_path` was renamed")  # a copy of the base was asked for
        return load_adapter(base, adapter, method=cell.method).eval()
