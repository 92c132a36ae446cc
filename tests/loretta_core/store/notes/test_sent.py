"""The note of what has been sent where."""

import pytest

from loretta_core.store.notes.sent import Sent, find_sent, note_sent, read_sent, without_credentials

HERE = Sent(sink="mlflow", to="http://mlflow:5000", sweep="a", run_id="r")


def test_each_store_and_sweep_has_one_note(tmp_path):
    note_sent(tmp_path, HERE)
    note_sent(tmp_path, HERE.model_copy(update={"sweep": "b"}))
    note_sent(tmp_path, HERE.model_copy(update={"facts": "new"}))
    assert [(note.sweep, note.facts) for note in read_sent(tmp_path)] == [("b", ""), ("a", "new")]
    assert find_sent(tmp_path, sink="mlflow", to=HERE.to, sweep="b") is not None
    assert find_sent(tmp_path, sink="mlflow", to="http://other", sweep="b") is None


@pytest.mark.parametrize(
    ("uri", "written"),
    [
        ("postgresql://me:secret@db:5432/mlflow?sslmode=require", "postgresql://db:5432/mlflow"),
        ("https://token@mlflow.example/a", "https://mlflow.example/a"),
        ("sqlite:////data/out/mlflow.db", "sqlite:////data/out/mlflow.db"),
    ],
)
def test_credentials_are_not_written_down(uri, written):
    assert without_credentials(uri) == written
