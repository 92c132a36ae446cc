"""Scores that the LoRETTA paper prints, from paper.toml, and the lookup of the one for a cell: same model, task and method, trained with gradients."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from loretta_core.config import CellConfig


@dataclass(frozen=True)
class PaperScore:
    """One score as the paper prints it."""

    value: float
    """Between 0 and 1."""
    metric: str
    source: str
    note: str

    @property
    def text(self) -> str:
        """The score with its source: `0.946 (F1; LoRETTA, NAACL 2024, table 1: development set, …)`."""
        return f"{self.value:.3f} ({self.metric}; {self.source}: {self.note})"


def paper_score(cell: CellConfig) -> PaperScore | None:
    """Return what the paper prints for the cell; None where it prints nothing, and for zeroth-order trainers."""
    if cell.trainer.type != "adam" or cell.task.type not in _tasks():
        return None
    settings = cell.method.model_dump()
    name = cell.model.caption.lower()
    for model, task, method, score in printed_scores():
        if task == cell.task.type and _is_model(name, model) and all(settings.get(key) == value for key, value in method.items()):
            return score
    return None


@cache
def _tasks() -> frozenset[str]:
    return frozenset(task for _, task, _, _ in printed_scores())


def _is_model(name: str, model: str) -> bool:
    """Compare names: `Llama-2-7b-hf` is llama-2-7b; `roberta-base-finetuned` is not roberta-base."""
    return name in (model, f"{model}-hf")


@cache
def printed_scores() -> list[tuple[str, str, Mapping[str, Any], PaperScore]]:
    """Return (model, task, settings of the method, score) for every number in paper.toml."""
    text = resources.files("loretta_core.report").joinpath("paper.toml").read_text(encoding="utf-8")
    return [
        (row["model"], task, row["method"], PaperScore(value / 100, metric, table["source"], table["note"]))
        for table in tomllib.loads(text)["table"]
        for row in table["rows"]
        for task, metric, value in zip(table["tasks"], table["metrics"], row["values"], strict=True)
    ]
