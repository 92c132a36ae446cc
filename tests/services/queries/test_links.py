"""Links into the MLflow UI."""

import pytest

from loretta_core.store.notes.sent import Sent, note_sent
from services.queries.links import mlflow_link

URL = "http://127.0.0.1:5000"


def test_a_cell_links_to_its_run_on_the_server(tmp_path):
    directory = tmp_path / "cells" / "ab"
    directory.mkdir(parents=True)
    note_sent(directory, Sent(sink="mlflow", to=URL, sweep="a", experiment_id="3", run_id="r"))
    note_sent(directory, Sent(sink="mlflow", to="http://elsewhere:5000", sweep="a", experiment_id="4", run_id="s"))
    note_sent(directory, Sent(sink="tensorboard", to="/logs", sweep="a"))
    assert mlflow_link(tmp_path, "ab", url=URL) == f"{URL}/#/experiments/3/runs/r"
    assert mlflow_link(tmp_path, "ab", url="http://other") == "http://other/#/experiments/4/runs/s"
    assert mlflow_link(tmp_path, "ab", url="") is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '[{"sink": "mlflow"}]'])
def test_a_note_that_cannot_be_read_gives_no_link(content, tmp_path):
    (tmp_path / "cells" / "ab").mkdir(parents=True)
    (tmp_path / "cells" / "ab" / "sent.json").write_text(content)
    assert mlflow_link(tmp_path, "ab", url=URL) is None
    assert mlflow_link(tmp_path, "none", url=URL) is None
