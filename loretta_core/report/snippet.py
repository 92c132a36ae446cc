"""The Python that loads the trained weights of a cell: text to paste, with nothing left to fill in that we know."""

from __future__ import annotations

from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.config.model import TOY_MODELS
from loretta_core.config.task import Glue, Jsonl

_AUTO_CLASSES = {"prompt": "AutoModelForMaskedLM", "head": "AutoModelForSequenceClassification", "causal": "AutoModelForCausalLM"}


def loading_code(cell: CellConfig, *, adapter: Path) -> str:
    """Python that ends with the tuned model in `model`."""
    auto = _AUTO_CLASSES[cell.task.objective]
    if cell.method.type == "ft":  # an ordinary checkpoint
        return f"from transformers import {auto}\n\nmodel = {auto}.from_pretrained({str(adapter)!r})"
    shipped = cell.model.name in TOY_MODELS
    source = f'f"{{loretta_core.__path__[0]}}/assets/{cell.model.name}"' if shipped else repr(cell.model.name)
    revision = f", revision={cell.model.revision!r}" if cell.model.revision else ""
    return "\n".join(
        [
            "from peft import PeftModel",
            f"from transformers import {auto}",
            "",
            "import loretta_core.adapters  # registers the LoRETTA types with PEFT",
            "",
            f"base = {auto}.from_pretrained({source}{revision}{_num_labels(cell)})",
            f"model = PeftModel.from_pretrained(base, {str(adapter)!r})",
        ]
    )


def _num_labels(cell: CellConfig) -> str:
    """Needed unless it is two, the default of transformers. Labels that were found in the data are not in the cell."""
    if cell.task.objective != "head":
        return ""
    match cell.task:
        case Glue():
            outputs = cell.task.outputs
        case Jsonl(regression=True):
            outputs = 1
        case Jsonl(labels=list(labels)):
            outputs = len(labels)
        case _:
            outputs = 2
    return f", num_labels={outputs}" if outputs != 2 else ""
