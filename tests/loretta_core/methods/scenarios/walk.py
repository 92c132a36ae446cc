"""Takes the method `gain` through listing, dry run, plan, training and report, and prints what each said as JSON (`test_new_method.py` has added it)."""

import json
from pathlib import Path

import torch
from peft import PeftModel

from loretta_core.config import load_sweep
from loretta_core.config.model import Pretrained
from loretta_core.models import load_model
from loretta_core.report.compare import write_comparison
from loretta_core.store.manifest import write_manifest
from loretta_core.train.run import run_cell
from services.commands.dry_run import dry_run
from services.commands.list import listing
from services.commands.plan import show_plan

SWEEP = """
[defaults]
model = "toy-bert"
task = { type = "toy_sentiment", train_rows = 64, validation_rows = 32, test_rows = 32 }
batch_size = 8
[axes]
method = ["gain", { type = "gain", start = 0.25, target_modules = ["output.dense"] }]
trainer = [{ type = "adam", steps = 4 }, { type = "zo_sgd", steps = 4 }]
"""


def main(directory: Path) -> None:
    """Print the listing's entry, the dry run, the plan, the records and the report's words."""
    file, out = directory / "gain.toml", directory / "out"
    file.write_text(SWEEP)
    sweep = load_sweep(file)
    planned = json.loads(dry_run(sweep, out=out, as_json=True))["cells"]
    predicted = json.loads(show_plan(sweep, devices=["a100-40gb"], out=out, as_json=True))
    write_manifest(out, sweep=sweep)
    records = [run_cell(cell, directory=out / "cells" / cell.cell_id).model_dump(mode="json") for cell in sweep.cells]
    comparison = write_comparison(out, name="gain")
    found = {
        "listed": next(entry for entry in json.loads(listing("methods", as_json=True)) if entry["name"] == "gain"),
        "dry_run": planned,
        "plan": predicted,
        "records": records,
        "reloads": reloads(out / "cells" / sweep.cells[0].cell_id / "adapter"),
        "report": comparison.report.read_text(encoding="utf-8"),
    }
    print(json.dumps(found))


def reloads(adapter: Path) -> str:
    """Load a saved adapter as any user of PEFT would; return the class of its config."""
    base = load_model(Pretrained(type="pretrained", name="toy-bert"), objective="prompt", num_labels=2, dtype=torch.float32)
    return type(PeftModel.from_pretrained(base, str(adapter)).peft_config["default"]).__name__
