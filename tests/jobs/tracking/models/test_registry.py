"""Registration of a finished cell, and loading it again by one line."""

import shutil

import pytest

from jobs.export import main
from jobs.tracking.mlflow_setup import connect, prepare
from jobs.tracking.mlflow_sink import MlflowSink, find_run
from jobs.tracking.models.registry import parse_name
from loretta_core.errors import ConfigError
from loretta_core.store.predictions import Predictions
from loretta_core.tasks.data.toy import generate_sentiment

# mlflow.pyfunc warns of the types of its own classes.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")


@pytest.mark.parametrize(("text", "expected"), [("sentiment", ("sentiment", "")), ("a model@best", ("a model", "best"))])
def test_a_name_may_have_an_alias(text, expected):
    assert parse_name(text) == expected


@pytest.mark.parametrize("text", ["", "@best", "a/b", "a@", "a@latest", "a@v3", "a@b c"])
def test_names_that_mlflow_refuses_are_refused_first(text):
    with pytest.raises(ConfigError, match="expected NAME or NAME@alias"):
        parse_name(text)


@pytest.fixture(autouse=True)
def _tracking_uri_of_the_process(monkeypatch):
    """MLflow writes the URI of the process into the environment; nothing of that outlives a test."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")


@pytest.fixture
def registered(trained, sweep, mlflow_uri, capsys, monkeypatch):
    """The URI of a registered cell."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    for _ in range(2):
        assert main([sweep.cells[0].cell_id, "--out", str(trained), "--register", "toy sentiment@best"]) == 0
    assert "mlflow.pyfunc.load_model('models:/toy sentiment@best').get_raw_model()" in capsys.readouterr().out
    return "models:/toy sentiment@best"


@pytest.mark.integration
def test_a_registered_cell_loads_again_and_predicts_what_it_predicted(registered, trained, sweep, mlflow_uri):
    import mlflow
    import pandas

    mlflow.set_tracking_uri(mlflow_uri)
    model = mlflow.pyfunc.load_model(registered)
    rows = generate_sentiment(rows_per_split={"train": 16, "validation": 8, "test": 8}, seed=0)["test"]
    expected = Predictions.model_validate_json((trained / "cells" / sweep.cells[0].cell_id / "predictions.json").read_text())
    found = model.predict(pandas.DataFrame({"text": [row["text"] for row in rows]}))
    assert found == [expected.label_names[index] for index in expected.predictions]
    assert type(model.get_raw_model()).__name__ == "PeftModel"
    assert (model.metadata.get_input_schema().input_names(), model.input_example.iloc[0]["text"]) == (["text"], "a text to classify or to continue")
    assert [version.version for version in connect(mlflow_uri).search_model_versions("name = 'toy sentiment'")] == [1]  # registered twice, one version
    assert not [path for path in trained.rglob("*") if path.suffix in (".pkl", ".pickle", ".bin", ".pt")]


@pytest.mark.integration
def test_a_copy_of_the_base_can_be_named(registered, mlflow_uri, tmp_path):
    import mlflow

    from loretta_core.config.checkpoints.locate import locate
    from loretta_core.config.model import Pretrained

    mlflow.set_tracking_uri(mlflow_uri)
    shutil.copytree(locate(Pretrained(type="pretrained", name="toy-bert")), tmp_path / "base")
    model = mlflow.pyfunc.load_model(registered, model_config={"base": str(tmp_path / "base")})
    assert model.get_raw_model().base_model.model.config._name_or_path == str(tmp_path / "base")


@pytest.mark.integration
def test_large_weights_stay_where_they_are_until_somebody_registers_them(trained, sweep, mlflow_uri, capsys):
    import mlflow

    cell = sweep.cells[0]
    tracking = prepare(mlflow_uri, name="small", out=trained, max_upload_mib=0.001)
    sink = MlflowSink(tracking, cell, directory=trained / "cells" / cell.cell_id)
    sink.close("finished", {})
    assert sink.problem == ""
    client = connect(mlflow_uri)
    run = find_run(client, tracking, cell.cell_id)
    assert "adapter.json" in {file.path for file in client.list_artifacts(run.info.run_id)}
    assert "adapter" not in {file.path for file in client.list_artifacts(run.info.run_id)}
    (model,) = client.search_logged_models([tracking.experiment_id])
    mlflow.set_tracking_uri(mlflow_uri)
    assert mlflow.pyfunc.load_model(f"models:/{model.model_id}").predict([{"text": "it was fine"}])  # by its path
    (trained / "cells" / cell.cell_id / "adapter").rename(trained / "elsewhere")
    with pytest.raises(Exception, match="are in MLflow by reference"):
        mlflow.pyfunc.load_model(f"models:/{model.model_id}")


def test_export_needs_something_to_do(trained, sweep, capsys):
    assert main([sweep.cells[0].cell_id, "--out", str(trained)]) == 2
    assert "give DIR to write to, or --register" in capsys.readouterr().err
