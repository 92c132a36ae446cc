"""Results as pandas tables: one row per cell from the sweep's table, one row per step from the cells' metrics. pandas comes with the extra `train`.

python -m jobs.examples.results_with_pandas OUT SWEEP
"""

import json
import sys
from pathlib import Path

import pandas as pd


def cells(out: Path, sweep: str) -> pd.DataFrame:
    """Return one row per cell: results, and every setting under its dotted name (`cell.trainer.lr`)."""
    return pd.json_normalize(json.loads((out / "sweeps" / sweep / "table.json").read_text(encoding="utf-8")))


def curves(out: Path, cell_ids: list[str]) -> pd.DataFrame:
    """Return the metrics that cells reported while they ran: a step a row, a metric a column."""
    files = {cell_id: out / "cells" / cell_id / "metrics.jsonl" for cell_id in cell_ids}
    frames = [pd.read_json(path, lines=True).assign(cell_id=cell_id) for cell_id, path in files.items() if path.exists()]
    return pd.concat(frames) if frames else pd.DataFrame()


def main(out: Path, sweep: str) -> None:
    """Print score and cost of each method and trainer over its seeds, and the last training losses."""
    table = cells(out, sweep)
    finished = table[table["status"] == "finished"]
    measures = {"seeds": ("cell.seed", "nunique"), "score": ("score", "mean"), "deviation": ("score", "std"), "seconds": ("train_seconds", "mean")}
    print(
        finished.groupby(["cell.model.name", "cell.task.type", "method", "trainer"]).agg(**measures).sort_values("score", ascending=False).round(3).to_string()
    )
    losses = curves(out, list(finished["cell_id"])).dropna(subset="train_loss")
    print(losses.pivot_table(index="step", columns="cell_id", values="train_loss").tail().to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
