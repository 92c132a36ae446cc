"""`ray job submit --working-dir . -- python -m jobs.sweep …` on a Ray with token authentication: the quickstart in small, for real."""

import subprocess

import pytest

from jobs.tracking.mlflow_setup import connect, default_uri
from loretta_core.config import load_sweep
from loretta_core.config.sweep.protocol import FIRST_REPLICATE_SEED
from loretta_core.store.record_files import find_records
from tests.jobs.head import Head, user_environment
from tests.paths import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.ray]

QUICKSTART = "jobs/sweeps/quickstart.toml"
SIZES = ("trainer.steps=5", "task.train_rows=64", "task.validation_rows=64", "task.test_rows=64")
SMALL = ('method=["loretta_adp"]', *SIZES, "tune.trials=1", "replicate.seeds=1")


def submit(head: Head, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ray", "job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", "python", "-m", "jobs.sweep", QUICKSTART, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)


def test_the_quickstart_as_a_job(head, tmp_path):
    overrides = [part for change in SMALL for part in ("--set", change)]
    job = submit(head, head.environment, *overrides, "--out", str(tmp_path / "out"))
    assert job.returncode == 0, job.stdout[-3000:] + job.stderr[-3000:]
    assert "sweep quickstart: 0 of 2 cells finished, 2 to run" in job.stdout
    assert "[4/4]" in job.stdout
    assert "Highest on validation, not a verdict: loretta_adp with" in job.stdout
    cells = load_sweep(ROOT / QUICKSTART, overrides=SMALL).cells
    assert [(cell.method.type, cell.trainer.type) for cell in cells] == [("loretta_adp", "adam"), ("loretta_adp", "zo_sgd")]
    records = find_records(tmp_path / "out").records
    assert len(records) == 4
    assert records.keys() > {cell.cell_id for cell in cells}
    for record in records.values():
        assert (record.status, record.cost.steps, record.score.rows) == ("finished", 5, 64 if record.cell["seed"] >= FIRST_REPLICATE_SEED else None)
        assert 0 < record.cost.trainable_params < record.cost.total_params
        assert [step for step, _ in record.curves["train_loss"]] == [1, 2, 3, 4, 5]
    experiment = connect(default_uri(tmp_path / "out")).get_experiment_by_name("quickstart")
    assert len(connect(default_uri(tmp_path / "out")).search_runs([experiment.experiment_id])) == 5


def test_a_job_with_a_bad_sweep_fails_with_the_message(head, tmp_path):
    job = submit(head, head.environment, "--set", "method.tensor_rnk=4", "--out", str(tmp_path / "out"))
    assert job.returncode == 1
    assert "--set method.tensor_rnk = 4: unknown key. Did you mean 'tensor_rank'?" in job.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("token", [pytest.param(None, id="none", marks=pytest.mark.slow), pytest.param("0" * 64, id="wrong")])
def test_without_the_token_a_job_is_refused(token, head, tmp_path):
    job = submit(head, user_environment(tmp_path, token=token), "--out", str(tmp_path / "out"))
    assert job.returncode != 0
    assert "token" in job.stdout + job.stderr
    assert not (tmp_path / "out").exists()
