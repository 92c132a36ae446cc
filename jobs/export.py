"""`python -m jobs.export CELL [DIR] [--merge] [--as lora] [--register NAME[@alias]]`: write a finished cell for others, or register it in MLflow.

    DIR/README.md                                          the model card
    DIR/adapter_config.json, adapter_model.safetensors     what `PeftModel.from_pretrained` reads (for ft: the whole model)
                                                           as a LoRA adapter with --as lora: what every program that loads LoRA reads
    DIR/tokenizer.json, chat_template.jinja, …             for a conversation: the tokenizer with the chat template of the training
    DIR/merged/                                            a plain transformers checkpoint with its tokenizer, with --merge

DIR is written atomically: an export that breaks leaves nothing that looks like one. What is registered is the cell as it was trained (`tracking/registry.py`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.tracking.models.registry import Registered, parse_name, register
from loretta_core.config import CellConfig
from loretta_core.config.task import ConversationTask
from loretta_core.errors import ConfigError, LorettaError, MethodError, OutputError
from loretta_core.report.adapter_docs.loading_code import known_outputs
from loretta_core.report.adapter_docs.model_card import MERGED_NAME, model_card
from loretta_core.report.adapter_docs.prompting import ChatFacts
from loretta_core.store.layout import find_cell
from loretta_core.store.record_files import read_record
from loretta_core.store.records import Record

if TYPE_CHECKING:
    from peft import PeftModel


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        found = [*_export(options), *_register(options)]
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps({name: value for each in found for name, value in asdict(each).items()}, default=str))
    else:
        print("\n".join(each.text for each in found))
    return 0


def _export(options: argparse.Namespace) -> list[Exported]:
    if options.directory is None and options.register is None:
        raise ConfigError("nothing to do: give DIR to write to, or --register NAME[@alias], or both")
    if options.directory is None and (options.merge or options.form):
        raise ConfigError("--merge and --as are about what is written: give DIR; the registry gets the cell as it was trained")
    if options.register is not None:
        parse_name(options.register)  # before anything is written
    if options.directory is None:
        return []
    return [export_cell(options.cell, to=options.directory, out=options.out, merge=options.merge, as_lora=options.form == "lora")]


def _register(options: argparse.Namespace) -> list[Registered]:
    if options.register is None:
        return []
    name, alias = parse_name(options.register)
    config, record = _finished(find_cell(options.out, options.cell))
    _trained_weights(find_cell(options.out, options.cell), record)
    return [register(config, record, out=options.out, name=name, alias=alias, tracking_uri=options.tracking_uri)]


@dataclass(frozen=True)
class Exported:
    """The directory that an export wrote, and what lies in it."""

    cell_id: str
    label: str
    directory: Path
    contents: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What the reader must know of them."""

    @property
    def text(self) -> str:
        """The export in words, for people."""
        return "\n".join([f"{self.label} ({self.cell_id})", f"saved to {self.directory}: {', '.join(self.contents)}", *self.notes])


def export_cell(cell: str, *, to: Path, out: Path, merge: bool, as_lora: bool = False) -> Exported:
    """Write a cell to `to`, atomically.

    Raises ConfigError: no such cell, not finished, weights gone, `to` exists, a method that does not merge, or what is no LoRA adapter.
    """
    if to.exists():
        raise OutputError(f"{to}: exists already, and an export overwrites nothing; give a directory that does not exist yet")
    directory = find_cell(out, cell)
    config, record = _finished(directory)
    source = _trained_weights(directory, record)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as scratch:
        draft = Path(scratch) / "export"
        notes = _write_lora(config, adapter=source, to=draft) if as_lora else _copy_weights(source, draft)
        _name_base(draft / "adapter_config.json", cell=config)
        if merge:
            _merge(config, adapter=source, to=draft / MERGED_NAME)
        chat = _save_chat_format(config, draft, merged=draft / MERGED_NAME if merge else None)
        (draft / "cell.json").write_text(config.to_json(), encoding="utf-8")
        (draft / "README.md").write_text(model_card(config, record=record, merged=merge, adapter=_adapter_config(draft), chat=chat), encoding="utf-8")
        draft.rename(to)
    return Exported(config.cell_id, config.label, to, tuple(sorted(path.name for path in to.iterdir())), notes)


def _finished(directory: Path) -> tuple[CellConfig, Record]:
    record = read_record(directory)
    if record.status != "finished":
        reason = f": {record.error.message}" if record.error else ""
        raise OutputError(f"{directory.name} is not finished, it {record.status}{reason}; start its sweep again, then export")
    return CellConfig.model_validate(record.cell), record


def _trained_weights(directory: Path, record: Record) -> Path:
    source = directory / (record.adapter or "")
    if record.adapter is None or not any(source.glob("*.safetensors")):
        raise OutputError(f"{directory}: the trained weights are gone; compute the cell again with `loretta sweep FILE --rerun {directory.name}`")
    return source


def _copy_weights(source: Path, target: Path) -> tuple[str, ...]:
    """Copy safetensors and JSON, nothing else."""
    target.mkdir()
    for file in sorted([*source.glob("*.safetensors"), *source.glob("*.json")]):
        shutil.copyfile(file, target / file.name)
    return ()


def _write_lora(cell: CellConfig, *, adapter: Path, to: Path) -> tuple[str, ...]:
    """Write the adapter as LoRA; return what there is to say."""
    if cell.method.peft_name == "LORA":
        raise MethodError("the cell is a LoRA adapter already: export it without --as")
    if cell.method.peft_name != "LORETTA_REP":
        raise MethodError(
            f"{cell.method.type} is no LoRA: only loretta_rep is a product of two matrices. Export without --as, with --merge where the method merges, "
            "or let `peft.convert_to_lora` approximate what it can"
        )
    from loretta_core.adapters.as_lora import as_lora

    found = as_lora(_trained_model(cell, adapter))
    found.save(to)
    (to / "README.md").unlink(missing_ok=True)
    return (f"trained in full and saved with it (modules_to_save): {', '.join(found.heads)}",) if found.heads else ()


def _name_base(config: Path, *, cell: CellConfig) -> None:
    """Name the base and its revision as the cell does, and not by where it lay on this machine."""
    if config.is_file():
        content = {**json.loads(config.read_text(encoding="utf-8")), "base_model_name_or_path": cell.model.name, "revision": cell.model.revision}
        config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _save_chat_format(cell: CellConfig, directory: Path, *, merged: Path | None) -> ChatFacts | None:
    """Save the tokenizer with the chat template that a conversation was trained with, for a pipeline to find; None for other tasks."""
    if not isinstance(cell.task, ConversationTask):
        return None
    from loretta_core.models import load_tokenizer
    from loretta_core.tasks.build import build_objective
    from loretta_core.tasks.chat.conversation import Conversation

    tokenizer = load_tokenizer(cell.model)
    objective = build_objective(cell.task, tokenizer=tokenizer, num_labels=1)
    assert isinstance(objective, Conversation), "the objective of these tasks"
    for place in filter(None, (directory, merged)):
        tokenizer.save_pretrained(str(place))
    return ChatFacts(objective.note, objective.ends)


def _adapter_config(directory: Path) -> dict[str, Any] | None:
    config = directory / "adapter_config.json"
    return json.loads(config.read_text(encoding="utf-8")) if config.is_file() else None


def _merge(cell: CellConfig, *, adapter: Path, to: Path) -> None:
    if cell.method.every_weight_trains:
        raise MethodError("a cell of ft is a whole model already: export it without --merge")
    if not cell.method.merges:
        raise MethodError(
            f"{cell.method.type} cannot be merged: it is no change of weight matrices alone. Export without --merge; loretta_rep and lora merge exactly"
        )
    from loretta_core.adapters.build import merge_adapter
    from loretta_core.models import load_tokenizer

    merge_adapter(_trained_model(cell, adapter)).save_pretrained(str(to))
    load_tokenizer(cell.model).save_pretrained(str(to))


def _trained_model(cell: CellConfig, adapter: Path) -> PeftModel:
    import torch  # seconds of import that a wrong id need not wait for
    from peft import PeftModel

    from loretta_core.adapters.build import load_adapter
    from loretta_core.models import load_model

    # Sums are taken in fp32 and kept there: in bf16, or in a quantized format, a small update would partly round away.
    base = load_model(cell.model.model_copy(update={"quantization": None}), objective=cell.task.objective, num_labels=_outputs(cell), dtype=torch.float32)
    model = load_adapter(base, adapter, method=cell.method)
    assert isinstance(model, PeftModel), "every method but ft gives one"
    return model


def _outputs(cell: CellConfig) -> int:
    outputs = known_outputs(cell)
    if outputs is None:
        from loretta_core.tasks.build import load_data

        outputs = load_data(cell.task).outputs
    return outputs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.export", description="Write a finished cell as a PEFT adapter with its model card, or register it in MLflow."
    )
    parser.add_argument("cell", help="id of the cell, or its first digits")
    parser.add_argument("directory", type=Path, nargs="?", help="where to write; must not exist")
    parser.add_argument("--merge", action="store_true", help="also write the model with the adapter folded in, which needs neither PEFT nor this project")
    parser.add_argument(
        "--as", dest="form", choices=["lora"], help="write a loretta_rep cell as a plain LoRA adapter, which PEFT and servers load without this project"
    )
    parser.add_argument("--register", metavar="NAME[@alias]", help="make a version of a registered model in MLflow of the cell as it was trained")
    parser.add_argument("--tracking-uri", default="", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else OUT/mlflow.db)")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="output directory of the cell (default: outputs)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
