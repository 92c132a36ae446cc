"""The results of a finished cell as MLflow keeps them: data sets, artifacts of its run, and a logged model that loads again.

    run artifacts       adapter/, README.md (model card), record.json, predictions.json, cell.json
    logged model        MLmodel with signature, input_example.json, requirements.txt, data/ = {cell.json, data.json, adapter/}

The model is a pyfunc whose loader is ours (`pyfunc_model.py`): safetensors and JSON, no pickle. Weights above `max_upload_mib` stay where they are: in place of
`adapter/` there is `adapter.json` with their path, size and digest.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.tracking.facts import cell_facts
from jobs.tracking.facts.sweep_facts import Part
from jobs.tracking.mlflow_setup import Tracking
from jobs.tracking.models.pyfunc_model import DATA_NAME, REFERENCE_NAME
from loretta_core.config import CellConfig
from loretta_core.config.metrics import METRICS
from loretta_core.report.adapter_docs.model_card import model_card
from loretta_core.store.adapter_files import ADAPTER_NAME
from loretta_core.store.predictions import PREDICTIONS_NAME
from loretta_core.store.record_files import RECORD_NAME
from loretta_core.store.records import DataFacts, Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModel

LOADER = "jobs.tracking.models.pyfunc_model"
EXAMPLE_TEXT = "a text to classify or to continue"
_PINNED = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class RunPlace:
    """A run, and the cell's directory that it is about."""

    tracking: Tracking
    run_id: str
    directory: Path
    whole: bool = False
    """Copy the weights whatever their size."""

    @property
    def adapter(self) -> Path:
        """Directory of the trained weights."""
        return self.directory / ADAPTER_NAME

    @property
    def copies_weights(self) -> bool:
        """True if there are weights that are small enough to be copied."""
        return self.adapter.is_dir() and (self.whole or _size(self.adapter) <= self.tracking.max_upload_mib * 2**20)


def data_inputs(cell: CellConfig, record: Record) -> list[DatasetInput]:
    """Return the splits of a cell as MLflow's data sets; the context of each is its split."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(
                found.name,
                found.digest,
                found.source_type,
                found.source,
                schema=json.dumps({"mlflow_colspec": [{"type": "string", "name": name, "required": True} for name in found.columns]}),
                profile=json.dumps({"num_rows": found.rows, "split": found.split}),
            ),
            [InputTag("mlflow.data.context", found.split)],
        )
        for found in cell_facts.data_sets(cell, record)
    ]


def send_artifacts(client: MlflowClient, place: RunPlace, *, cell: CellConfig, record: Record) -> None:
    """Copy what the cell left to the artifacts of its run."""
    with tempfile.TemporaryDirectory(prefix="loretta-") as scratch:
        draft = Path(scratch)
        for name in (RECORD_NAME, PREDICTIONS_NAME, "cell.json"):
            if (place.directory / name).is_file():
                shutil.copyfile(place.directory / name, draft / name)
        (draft / "README.md").write_text(_card(place, cell=cell, record=record), encoding="utf-8")
        _put_weights(place, draft, record=record)
        client.log_artifacts(place.run_id, str(draft))


def send_model(client: MlflowClient, place: RunPlace, *, cell: CellConfig, record: Record, part: Part) -> str:
    """Make the logged model of a run, or complete the one that a killed process left; return its id, "" for a cell that left no weights."""
    if not place.adapter.is_dir():
        return ""
    found = find_model(client, place.tracking, run_id=place.run_id)
    model = found or _create_model(client, place, cell=cell, record=record, part=part)
    if found is None or found.status != "READY" or place.whole:
        with tempfile.TemporaryDirectory(prefix="loretta-") as scratch:
            _write_model(Path(scratch), place, model_id=model.model_id, cell=cell, record=record)
            client.log_model_artifacts(model.model_id, scratch)
        client.finalize_logged_model(model.model_id, "READY")
        client.set_logged_model_tags(model.model_id, {"mlflow.note.content": _description(cell, part, model_id=model.model_id)})
        _name_in_run(client, place, model.model_id)
    return model.model_id


def find_model(client: MlflowClient, tracking: Tracking, *, run_id: str) -> LoggedModel | None:
    """Return the logged model of a run, None if there is none."""
    found = client.search_logged_models([tracking.experiment_id], filter_string=f"source_run_id = '{run_id}'", max_results=1)
    return found[0] if found else None


def _create_model(client: MlflowClient, place: RunPlace, *, cell: CellConfig, record: Record, part: Part) -> LoggedModel:
    tags = {"cell_id": cell.cell_id, **cell_facts.tags(cell), **part.tags, "adapter.sha256": record.digests.adapter or ""}
    params = {name: value[:500] for name, value in cell_facts.params(cell).items()}
    kind = "transformers" if cell.method.every_weight_trains else "peft-adapter"
    name = f"{cell.method.short_name}-{cell.trainer.type}-{cell.cell_id[:8]}"
    return client.create_logged_model(place.tracking.experiment_id, name=name, source_run_id=place.run_id, tags=tags, params=params, model_type=kind)


def _description(cell: CellConfig, part: Part, *, model_id: str) -> str:
    load = f"mlflow.pyfunc.load_model('models:/{model_id}')"
    return f"{part.name}: {cell.model.caption} tuned on {cell.task.type}.\n\n`{load}` predicts; its `get_raw_model()` is the tuned model."


def _name_in_run(client: MlflowClient, place: RunPlace, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(place.run_id).outputs
    if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
        client.log_outputs(place.run_id, [LoggedModelOutput(model_id, 0)])


def _write_model(draft: Path, place: RunPlace, *, model_id: str, cell: CellConfig, record: Record) -> None:
    """Write the files of a logged model."""
    from mlflow.models import Model

    data = draft / "data"
    data.mkdir()
    (data / "cell.json").write_text(cell.to_json(), encoding="utf-8")
    facts = record.data or DataFacts(splits={}, columns=["text"])
    (data / DATA_NAME).write_text(facts.model_dump_json(indent=1), encoding="utf-8")
    _put_weights(place, data, record=record)
    (draft / "README.md").write_text(_card(place, cell=cell, record=record), encoding="utf-8")
    pins = [f"{name}=={record.environment[name]}" for name in _PINNED if name in record.environment]
    (draft / "requirements.txt").write_text("\n".join(["loretta-on-ray[train]", *pins]) + "\n", encoding="utf-8")
    example = {"columns": facts.columns, "data": [[EXAMPLE_TEXT] * len(facts.columns)]}
    (draft / "input_example.json").write_text(json.dumps(example), encoding="utf-8")
    (draft / "serving_input_example.json").write_text(json.dumps({"dataframe_split": example}), encoding="utf-8")
    model = Model(
        artifact_path=None,
        run_id=place.run_id,
        model_id=model_id,
        signature=_signature(facts, record=record),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
        model_size_bytes=_size(place.adapter),
    )
    options = {"base": cell.model.name}  # MLflow lets callers override only what is here
    model.add_flavor("python_function", loader_module=LOADER, data="data", config=options, python_version=platform.python_version())
    model.save(str(draft / "MLmodel"))


def _signature(facts: DataFacts, *, record: Record) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    answer = "double" if METRICS.get(record.score.name, ("classes", ""))[0] == "number" else "string"
    return ModelSignature(Schema([ColSpec("string", name) for name in facts.columns]), Schema([ColSpec(answer, "prediction")]))


def _put_weights(place: RunPlace, target: Path, *, record: Record) -> None:
    if place.copies_weights:
        shutil.copytree(place.adapter, target / ADAPTER_NAME, ignore=_not_weights)
    elif place.adapter.is_dir():
        reference = {"path": str(place.adapter.resolve()), "bytes": _size(place.adapter), "sha256": record.digests.adapter}
        (target / REFERENCE_NAME).write_text(json.dumps(reference, indent=1), encoding="utf-8")


def _not_weights(directory: str, names: Sequence[str]) -> set[str]:
    """Return the names that are neither safetensors nor JSON."""
    return {name for name in names if not name.endswith((".safetensors", ".json"))}


def _card(place: RunPlace, *, cell: CellConfig, record: Record) -> str:
    config = place.adapter / "adapter_config.json"
    return model_card(cell, record=record, merged=False, adapter=json.loads(config.read_text(encoding="utf-8")) if config.is_file() else None)


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
