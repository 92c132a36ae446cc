"""Records and output directories with plausible numbers, made up: five methods × two trainers, no training."""

import math
import random

from loretta_core.config import SweepConfig, cell_from_overrides
from loretta_core.report.compare import compare
from loretta_core.report.rows import build_rows
from loretta_core.report.stats import wilson_interval
from loretta_core.store.manifest import read_manifest, write_manifest
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.predictions import Predictions, write_predictions
from loretta_core.store.record_files import find_records, write_record
from loretta_core.store.records import Digests, Failure, Record, RunCost, Score

PARAMETERS = {"loretta_adp": 2_912, "loretta_rep": 3_104, "lora": 16_384, "adapters": 133_504, "ft": 812_032}
GAIN = {"loretta_adp": 0.17, "loretta_rep": 0.168, "lora": 0.19, "adapters": 0.18, "ft": 0.21}


def make_cell(method="lora", trainer="adam", *more):
    return cell_from_overrides(["model=toy-bert", "task=toy_sentiment", f"method={method}", f"trainer={trainer}", *more])


def make_record(cell, *, correct=900, rows=1000, score=None, cost=None, **changes):
    """`score`, `cost`, `changes`: fields that differ from those of an ordinary finished cell."""
    low, high = wilson_interval(correct, rows)
    scores = {"value": correct / rows, "low": low, "high": high, "rows": rows, "initial": 0.72, "validation": 0.9, "best_step": 200}
    costs = {
        "trainable_params": 16_384, "total_params": 900_000, "train_s": 6.4, "wall_s": 9.0, "peak_memory_bytes": 612 * 2**20, "steps": 300, "forwards": 300,
    }  # fmt: skip
    fields = {
        "cell_id": cell.cell_id, "cell": cell.to_dict(), "status": "finished", "score": Score(**{**scores, **(score or {})}),
        "cost": RunCost(**{**costs, **(cost or {})}), "digests": Digests(inputs="0" * 64), "adapter": "adapter",
        "environment": {"torch": "2.13.0", "device": "CPU"}, "curves": {"train_loss": [(1, 0.7), (2, 0.5)]},
    }  # fmt: skip
    return Record(**{**fields, **changes})


def failed_record(cell, *, message="loss is nan at step 12", kind="nan"):
    return Record(cell_id=cell.cell_id, cell=cell.to_dict(), status="failed", error=Failure(kind=kind, message=message))


def plausible_record(cell, *, noise):
    method, zo = cell.method.type, cell.trainer.zeroth_order
    steps = 1000 if zo else 300
    gain = GAIN[method] * (0.45 if zo else 1.0)
    curve = [(step, 0.62 - gain * 1.4 * (1 - math.exp(-4 * step / steps)) + noise.gauss(0, 0.08 if zo else 0.04)) for step in range(0, steps, steps // 100)]
    return make_record(
        cell, correct=round(1000 * (0.72 + gain)), cost={
            "trainable_params": PARAMETERS[method], "train_s": (14 if zo else 7) * (1 + 0.2 * len(method) / 11), "steps": steps,
            "forwards": steps * (2 if zo else 1),
        }, curves={"train_loss": curve, "validation_score": [(0, 0.72), (steps, 0.72 + gain)]},
    )  # fmt: skip


def fill(out):
    """The quickstart's grid; one cell failed and one never ran."""
    check_output_dir(out)
    cells = [make_cell(method, trainer) for method in PARAMETERS for trainer in ("adam", "zo_sgd")]
    noise = random.Random(0)
    sweep = SweepConfig(name="quickstart", description="Five methods & two trainers", cells=tuple(cells), duplicates=(cells[0].label,))
    write_manifest(out, sweep=sweep)
    for cell in cells[:-2]:
        write_record(plausible_record(cell, noise=noise), out / "cells" / cell.cell_id)
    write_record(failed_record(cells[-2], message="loss is <nan> at step 12"), out / "cells" / cells[-2].cell_id)
    return out


def write_sweep(out, *, records, name="sweep", **fields):
    """A sweep whose cells all have the given records; a cell without one is (cell, None)."""
    check_output_dir(out)
    write_manifest(out, sweep=SweepConfig(name=name, cells=tuple(cell for cell, _ in records), **fields))
    for cell, record in records:
        if record:
            write_record(record, out / "cells" / cell.cell_id)
    return out


def rows_of(out, *, name="sweep"):
    manifest = read_manifest(out, name=name)
    return build_rows(manifest, records=find_records(out, manifest.cells).records)


def findings_of(out, *, name="sweep"):
    return compare(out, name=name).findings


def write_replicates(out, cells, rights, *, tests="t", metric="accuracy", name="sweep", **costs):
    """A sweep whose cells have these rows right, with predictions; `tests` names the test rows, one letter for all or one each."""
    records = [(cell, make_record(cell, correct=right.count("1"), rows=len(right), **costs)) for cell, right in zip(cells, rights, strict=True)]
    write_sweep(out, records=records, name=name)
    for (_, record), right, test in zip(records, rights, tests if len(tests) > 1 else tests * len(cells), strict=True):
        keep_predictions(out, record, Predictions(metric=metric, test_sha256=test, predictions=tuple(map(int, right)), right=right))
    return out


def keep_predictions(out, record, predictions):
    """Write predictions beside a record that has their digest."""
    directory = out / "cells" / record.cell_id
    write_predictions(predictions, directory)
    write_record(record.model_copy(update={"digests": Digests(predictions=predictions.sha256)}), directory)


def bits(right: int, *, rows: int = 100, first: int = 0) -> str:
    """`right` rows right, from place `first` on."""
    return "".join("1" if first <= place < first + right else "0" for place in range(rows))
