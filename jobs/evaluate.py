"""`python -m jobs.evaluate CELL --tasks a,b [--include-path DIR]`: score a finished cell with EleutherAI's lm-evaluation-harness, the extra `evaluate`.

    adapter, loaded as it was trained ──► the harness's own model class ──► its tasks, of YAML files ──► record.json, `evaluations`

The numbers are the harness's: a test compares them with a direct call. Nothing is downloaded: a task reads local files, or a data set in the local hub cache.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError, DataError, LorettaError, OutputError
from loretta_core.report.harness_notes import harness_lines
from loretta_core.store.adapter_files import ADAPTER_NAME
from loretta_core.store.layout import find_cell
from loretta_core.store.record_files import read_record, write_record
from loretta_core.store.records import HarnessScores, Record

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager
    from torch import nn

BATCH = 16
"""Requests of a forward."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        found = evaluate_cell(
            options.cell, tasks=[name.strip() for name in options.tasks.split(",") if name.strip()], out=options.out, include=options.include_path,
            limit=options.limit, shots=options.shots,
        )  # fmt: skip
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({task: scores.model_dump() for task, scores in found.items()}) if options.json else _text(found))
    return 0


def evaluate_cell(
    cell: str, *, tasks: Sequence[str], out: Path, include: Path | None = None, limit: int | None = None, shots: int | None = None
) -> dict[str, HarnessScores]:
    """Score a cell on tasks of the harness, add the scores to its record, and return them; those of an earlier call on the same task are replaced.

    Args:
        include: directory with the YAML files of further tasks.
        limit: most rows of each task.
        shots: solved rows before each question; None leaves it to the task.

    Raises ConfigError: the extra is missing, the cell is not finished, is no decoder or its weights are gone, unknown task, data that are not there.
    """
    directory = find_cell(out, cell)
    config, adapter = _scorable(directory)
    _check_request(tasks, include, limit)
    if importlib.util.find_spec("lm_eval") is None:
        raise ConfigError('`loretta evaluate` needs lm-evaluation-harness: pip install "loretta-on-ray[evaluate]"')
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    manager = _task_manager(tasks, include)
    found = _harness_scores(_trained_model(config, adapter), config, tasks=tasks, manager=manager, limit=limit, shots=shots)
    record = read_record(directory)  # again: another call may have written it meanwhile
    write_record(record.model_copy(update={"evaluations": {**record.evaluations, **found}}), directory)
    return found


def _scorable(directory: Path) -> tuple[CellConfig, Path]:
    record: Record = read_record(directory)
    if record.status != "finished":
        reason = f": {record.error.message}" if record.error else ""
        raise OutputError(f"{directory.name} is not finished, it {record.status}{reason}; start its sweep again, then evaluate")
    config = CellConfig.model_validate(record.cell)
    if config.task.objective != "causal":
        raise ConfigError(
            f"{directory.name} is a cell of {config.model.name} with task.objective = {config.task.objective!r}, and the harness scores decoders that write or "
            'rank texts: train a decoder with task.objective = "causal". The score of this cell is in `loretta compare`'
        )
    adapter = directory / (record.adapter or ADAPTER_NAME)
    if not any(adapter.glob("*.safetensors")):
        raise OutputError(f"{directory}: the trained weights are gone; compute the cell again with `loretta sweep FILE --rerun {directory.name}`")
    return config, adapter


def _check_request(tasks: Sequence[str], include: Path | None, limit: int | None) -> None:
    if not tasks:
        raise ConfigError("--tasks names none; give names of the harness's tasks, separated by commas")
    if include is not None and not include.is_dir():
        raise ConfigError(f"--include-path {include}: no such directory; expected one with the YAML files of tasks")
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit {limit}: expected 1 or more rows")


def _task_manager(tasks: Sequence[str], include: Path | None) -> TaskManager:
    """Return the harness's index with all of the tasks: of the directory alone where it has them, else with its own, of which there are thousands."""
    from lm_eval.tasks import TaskManager

    own = TaskManager(include_path=include, include_defaults=False) if include is not None else None
    if own is not None and all(name in own.all_tasks for name in tasks):
        return own
    manager = TaskManager(include_path=include)
    unknown = [name for name in tasks if name not in manager.all_tasks]
    if unknown:
        close = difflib.get_close_matches(unknown[0], manager.all_tasks, n=5)
        listed = f"{include} has {', '.join(own.all_tasks) or 'none'}" if own is not None else "--include-path DIR adds tasks of yours"
        raise ConfigError(f"--tasks: no task {unknown[0]!r}; {listed}{'; similar: ' + ', '.join(close) if close else ''}")
    return manager


def _trained_model(cell: CellConfig, adapter: Path) -> nn.Module:
    """Return the model of a cell on the device that cells use, with the weights and the precision that it was trained with."""
    from loretta_core.adapters.build import load_adapter
    from loretta_core.models import load_model
    from loretta_core.train.build import DTYPES
    from loretta_core.train.engines.plain import device_of

    base = load_model(cell.model, objective="causal", num_labels=1, dtype=DTYPES[cell.precision])
    return load_adapter(base, adapter, method=cell.method).to(device_of(cell)).eval()


def _harness_scores(
    model: nn.Module, cell: CellConfig, *, tasks: Sequence[str], manager: TaskManager, limit: int | None, shots: int | None
) -> dict[str, HarnessScores]:
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    from loretta_core.models import load_tokenizer

    # PEFT's models are no PreTrainedModel, and work.
    harness: Any = HFLM(pretrained=cast("Any", model), tokenizer=cast("Any", load_tokenizer(cell.model)), backend="causal", batch_size=BATCH)
    try:
        report = lm_eval.simple_evaluate(model=harness, tasks=list(tasks), task_manager=manager, limit=limit, num_fewshot=shots, log_samples=False)
    except (FileNotFoundError, ConnectionError, ValueError) as error:
        raise DataError(
            f"--tasks {','.join(tasks)}: the harness could not read the data ({str(error).splitlines()[0]}). Nothing is downloaded here: a task of yours names "
            "files in dataset_kwargs.data_files, by absolute paths or relative to this directory; a data set of the hub must be in its local cache"
        ) from None
    assert report is not None, "only other ranks of a distributed call get nothing"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        name: HarnessScores(
            metrics=_metrics(metrics),
            version=str(report["versions"].get(name, "")),
            rows=report["n-samples"].get(name, {}).get("effective"),
            limit=limit,
            shots=report["n-shot"].get(name),
            harness=lm_eval.__version__,
            evaluated_at=now,
        )
        for name, metrics in report["results"].items()
    }


def _metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a task by the harness's names, without the filter's where it is `none`."""
    return {name.removesuffix(",none"): float(value) for name, value in found.items() if "," in name and isinstance(value, int | float)}


def _text(found: Mapping[str, HarnessScores]) -> str:
    return "\n".join([*harness_lines(found), f"by lm-evaluation-harness {next(iter(found.values())).harness}; kept in the cell's record"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.evaluate", description="Score a finished cell with EleutherAI's lm-evaluation-harness.")
    parser.add_argument("cell", help="id of the cell, or its first digits")
    parser.add_argument("--tasks", required=True, help="names of the harness's tasks, separated by commas")
    parser.add_argument("--include-path", type=Path, help="directory with the YAML files of further tasks")
    parser.add_argument("--limit", type=int, help="most rows of each task")
    parser.add_argument("--shots", type=int, help="solved rows before each question; by default what the task says")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="output directory of the cell (default: outputs)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
