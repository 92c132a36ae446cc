"""A finished sweep in MLflow, on real SQLite: what a person finds there who knows nothing of us."""

import json
import shutil
from datetime import datetime

import pytest

from jobs.sync import sync
from jobs.tracking.mlflow_setup import connect, default_uri
from jobs.tracking.mlflow_sink import CELL_TAG
from loretta_core.report.compare import compare
from loretta_core.store.notes.sent import read_sent
from loretta_core.store.record_files import read_record

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sent(_trained, _empty_database, tmp_path_factory):
    """An output directory whose sweep is in its MLflow."""
    out = tmp_path_factory.mktemp("sent") / "out"
    shutil.copytree(_trained, out, copy_function=shutil.copy2)
    shutil.copy(_empty_database, out / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        sync(out)
    return out


@pytest.fixture
def client(sent):
    return connect(default_uri(sent))


@pytest.fixture
def record_of(sent):
    return lambda cell: read_record(sent / "cells" / cell.cell_id)


@pytest.fixture
def runs(client):
    """Cell id → its run."""
    experiment = client.get_experiment_by_name("small")
    return {run.data.tags[CELL_TAG]: run for run in client.search_runs([experiment.experiment_id]) if CELL_TAG in run.data.tags}


@pytest.fixture
def parent(client):
    (found,) = client.search_runs([client.get_experiment_by_name("small").experiment_id], "tags.`loretta.sweep` = 'small'")
    return found


def test_times_are_those_of_the_cell(runs, record_of, sweep):
    for cell in sweep.cells:
        run, record = runs[cell.cell_id], record_of(cell)
        assert (run.info.end_time - run.info.start_time) / 1000 == pytest.approx(record.cost.wall_s, abs=0.5)
        assert run.info.start_time / 1000 == pytest.approx(datetime.fromisoformat(record.started_at).timestamp(), abs=1.1)


def test_names_say_what_varies_and_numbers_can_be_searched(client, runs, sweep):
    assert sorted(run.info.run_name for run in runs.values()) == ["lora · adam lr=0.0001 · seed 1", "lora · adam lr=0.001 · seed 1"]
    experiment = next(iter(runs.values())).info.experiment_id
    (slow,) = client.search_runs([experiment], "metrics.`trainer.lr` < 5e-4 and metrics.`trainer.lr` > 0")
    assert slow.data.params["trainer.lr"] == "0.0001"
    assert {frozenset(run.data.params) for run in runs.values()} == {frozenset(slow.data.params)}  # one set of keys


def test_artifacts_data_and_environment_are_there(client, runs, record_of, sweep):
    cell = sweep.cells[0]
    run, record = runs[cell.cell_id], record_of(cell)
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"README.md", "adapter", "cell.json", "predictions.json", "record.json"}
    assert "adapter/adapter_model.safetensors" in {file.path for file in client.list_artifacts(run.info.run_id, "adapter")}
    found = {next(tag.value for tag in each.tags if tag.key == "mlflow.data.context"): each.dataset for each in run.inputs.dataset_inputs}
    assert {split: json.loads(data.profile)["num_rows"] for split, data in found.items()} == {"train": 16, "validation": 8, "test": 8}
    assert {data.name for data in found.values()} == {"toy_sentiment"}
    assert found["train"].digest == record.data.splits["train"].sha256[:32]
    assert run.data.tags["version.torch"] == record.environment["torch"]
    assert {"mlflow.user", "mlflow.source.name", "host", "device"} <= run.data.tags.keys()


def test_the_best_model_is_found(client, runs, record_of, sweep):
    experiment = client.get_experiment_by_name("small").experiment_id
    best, *_ = client.search_logged_models([experiment], order_by=[{"field_name": "metrics.best_validation_score", "ascending": False}])
    expected = max(record_of(cell).score.validation for cell in sweep.cells)
    assert {metric.key: metric.value for metric in best.metrics}["best_validation_score"] == expected
    assert best.params["trainer.lr"] in ("0.001", "0.0001")
    assert (best.status, best.source_run_id) == ("READY", runs[best.tags[CELL_TAG]].info.run_id)


def test_the_parent_has_the_verdict_and_the_report(client, parent, runs):
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"report.html", "verdict.json", "table.md", "sweep.toml"} <= files
    assert (parent.data.metrics["cells"], parent.data.metrics["cells.finished"], parent.data.metrics["cells.failed"]) == (2, 2, 0)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["mlflow.note.content"]
    assert {run.data.tags["contender"] for run in runs.values()} == {"lora · adam"}
    assert {"verdict" in run.data.tags for run in runs.values()} == {True} or any("verdict" in run.data.tags for run in runs.values())


def test_sending_again_changes_nothing(client, sent, runs, sweep):
    before = {run.info.run_id: run.data.to_dictionary() for run in runs.values()}
    for cell in sweep.cells:
        (sent / "cells" / cell.cell_id / "sent.json").unlink()  # as if the process had been killed before its note
    sync(sent)
    after = client.search_runs([client.get_experiment_by_name("small").experiment_id], f"tags.{CELL_TAG} != ''")
    assert {run.info.run_id: run.data.to_dictionary() for run in after} == before
    for run in after:
        assert [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2]
        assert len(client.get_metric_history(run.info.run_id, "score")) == 1
        assert len(run.inputs.dataset_inputs) == 3
        assert len(run.outputs.model_outputs) == 1
    assert len(client.search_logged_models([after[0].info.experiment_id])) == 2


def test_another_store_gets_everything(sent, sweep, mlflow_uri):
    elsewhere = mlflow_uri  # of the test's own output directory
    sync(sent, tracking_uri=elsewhere)
    moved = connect(elsewhere).get_experiment_by_name("small")
    assert len(connect(elsewhere).search_runs([moved.experiment_id])) == 3
    assert {note.to for note in read_sent(sent / "cells" / sweep.cells[0].cell_id)} == {default_uri(sent), elsewhere}


def test_the_verdict_may_be_published_again(client, sent, parent):
    from jobs.tracking.sinks import open_sinks

    (sink,) = open_sinks(["mlflow"], sweep="small", out=sent)
    for _ in range(2):
        sink.publish(compare(sent, name="small"), complete=True)
    again = client.get_run(parent.info.run_id)
    assert (again.info.status, again.data.tags["mlflow.note.content"]) == ("FINISHED", parent.data.tags["mlflow.note.content"])
