"""Links into the MLflow UI."""

import pytest

from services.queries.links import mlflow_link


def test_a_cell_links_to_its_run(tmp_path):
    (tmp_path / "cells" / "ab").mkdir(parents=True)
    (tmp_path / "cells" / "ab" / "mlflow.json").write_text('{"experiment_id": "3", "run_id": "r"}')
    assert mlflow_link(tmp_path, "ab", url="http://127.0.0.1:5000") == "http://127.0.0.1:5000/#/experiments/3/runs/r"
    assert mlflow_link(tmp_path, "ab", url="") is None


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_note_that_cannot_be_read_gives_no_link(content, tmp_path):
    (tmp_path / "cells" / "ab").mkdir(parents=True)
    (tmp_path / "cells" / "ab" / "mlflow.json").write_text(content)
    assert mlflow_link(tmp_path, "ab", url="http://127.0.0.1:5000") is None
    assert mlflow_link(tmp_path, "none", url="http://127.0.0.1:5000") is None
