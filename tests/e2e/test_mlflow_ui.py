"""A person with a browser in the MLflow UI of a finished sweep: which setting won, its adapter, its data, its environment. Keeps screenshots."""

import pytest

from jobs.sync import sync
from jobs.tracking.mlflow_setup import connect, default_uri
from loretta_core.config.sweep.load import resolve_sweep
from loretta_core.store.manifest import write_manifest
from loretta_core.store.output_dir import check_output_dir
from tests.services.serving import serving

pytestmark = pytest.mark.slow

SIZE = {"width": 1366, "height": 900}
SWEEP = {
    "name": "which",
    "description": "Two methods for the toy task",
    "defaults": {
        "model": "toy-bert",
        "task": {"type": "toy_sentiment", "train_rows": 64, "validation_rows": 32, "test_rows": 64},
        "trainer": {"type": "adam", "steps": 10, "eval_every": 2},
    },
    "axes": {"method": ["lora", "ft"]},
    "replicate": {"seeds": 2},
}


@pytest.fixture
def swept(tmp_path, monkeypatch):
    """An output directory with a finished sweep that is in its MLflow."""
    from loretta_core.train.run import run_cell

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out, sweep = tmp_path / "out", resolve_sweep(SWEEP)
    check_output_dir(out)
    write_manifest(out, sweep=sweep, names=["lora · adam", "ft · adam"])
    for cell in sweep.cells:
        run_cell(cell, directory=out / "cells" / cell.cell_id)
    sync(out)
    return out


def test_what_won_is_found_without_our_pages(swept, browser, artifacts):
    client = connect(default_uri(swept))
    experiment = client.get_experiment_by_name("which").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`loretta.sweep` = 'which'")
    best = client.search_runs([experiment], "tags.role = 'replicate'", order_by=["metrics.score DESC"])[0]
    (model,) = client.search_logged_models([experiment], f"source_run_id = '{best.info.run_id}'")
    with serving(swept) as (_, lines):
        page = browser.new_page(viewport=SIZE)
        base = lines[1].split("MLflow UI: ")[1].split()[0] + f"/#/experiments/{experiment}"

        def check_place(name: str, place: str, *wanted: str) -> None:
            page.goto(base + place)
            for text in wanted:
                page.get_by_text(text).first.wait_for(timeout=60_000)
            page.screenshot(path=artifacts / f"mlflow-{name}.png")

        check_place("sweep", f"/runs/{parent.info.run_id}", "toy_sentiment: accuracy", "cells.finished")
        check_place("report", f"/runs/{parent.info.run_id}/artifacts", "report.html", "verdict.json")
        check_place("run", f"/runs/{best.info.run_id}", best.info.run_name, "role", "version.torch", "Train")
        check_place("artifacts", f"/runs/{best.info.run_id}/artifacts", "adapter", "README.md", "predictions.json")
        check_place("models", "/models", model.name)
        check_place("model", f"/models/{model.model_id}", "best_validation_score", "score")
