"""cluster/backup.py on a real SQLite and a real PostgreSQL: what was saved comes back, damage is found before anything is written."""

import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing

import pytest

from cluster.backup import connection_environment, main, restore, save
from loretta_core.errors import ConfigError, LorettaError
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.record_files import find_records, write_record
from loretta_core.store.records import Record, Score
from tests.paths import ROOT


@pytest.fixture
def out(tmp_path):
    directory = tmp_path / "outputs"
    check_output_dir(directory)
    for cell in ("aaa", "bbb"):
        write_record(Record(cell_id=cell, cell={"seed": 0}, status="finished", score=Score(value=0.5)), directory / "cells" / cell)
        (directory / "cells" / cell / "metrics.jsonl").write_text("{}\n")
    (directory / "tokens.json").write_text("[]")
    (directory / "tokens.json").chmod(0o600)
    for transient in (".mlflow.lock", "mlflow-server.log", "cells/aaa/.record.json.7.tmp"):
        (directory / transient).write_text("x")
    return directory


def database(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE runs (name TEXT)")
    connection.execute("INSERT INTO runs VALUES ('one')")
    connection.commit()
    return connection


def test_what_was_saved_comes_back(out, tmp_path):
    """The database is open and its last rows are in the write-ahead log, as while a server runs."""
    with closing(database(out / "mlflow.db")), closing(database(out / "mlflow-users.db")):
        assert save(out, tmp_path / "backup.tar") == 6
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    assert restore(tmp_path / "backup.tar", tmp_path / "new") == 2
    assert find_records(tmp_path / "new", ["aaa", "bbb"]) == find_records(out, ["aaa", "bbb"])
    for name in ("mlflow.db", "mlflow-users.db"):
        with closing(sqlite3.connect(tmp_path / "new" / name)) as copy:
            assert copy.execute("SELECT name FROM runs").fetchall() == [("one",)]
    assert (tmp_path / "new" / "tokens.json").stat().st_mode & 0o777 == 0o600
    names = {str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert names == {
        "FORMAT.json",
        "tokens.json",
        "mlflow.db",
        "mlflow-users.db",
        *(f"cells/{cell}/{name}" for cell in ("aaa", "bbb") for name in ("record.json", "metrics.jsonl")),
    }
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith((".backup-", ".restore-"))]


def test_a_directory_in_use_is_left_alone(out, tmp_path):
    save(out, tmp_path / "backup.tar")
    with pytest.raises(ConfigError, match="not empty"):
        restore(tmp_path / "backup.tar", out)


def test_damage_is_found_before_anything_is_written(out, tmp_path):
    save(out, tmp_path / "backup.tar")
    content = bytearray((tmp_path / "backup.tar").read_bytes())
    with tarfile.open(tmp_path / "backup.tar") as tar:
        place = tar.getmember("out/cells/aaa/record.json").offset_data
    content[place + 20] ^= 1
    (tmp_path / "damaged.tar").write_bytes(content)
    with pytest.raises(LorettaError, match=r"cells/aaa/record\.json is damaged; nothing was restored"):
        restore(tmp_path / "damaged.tar", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "cut.tar").write_bytes(bytes(content[: len(content) // 2]))
    with pytest.raises(ConfigError, match="not a backup, or cut off"):
        restore(tmp_path / "cut.tar", tmp_path / "new")


def test_wrong_requests(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("LORETTA_STORE", raising=False)
    (tmp_path / "other").mkdir()
    assert main(["save", str(tmp_path / "other"), str(tmp_path / "backup.tar")]) == 2
    assert "no FORMAT.json" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="expected postgresql://"):
        connection_environment("mysql://somewhere/else")


def test_the_password_is_no_argument():
    found = connection_environment("postgresql://mlflow:p%40ss@db:5433/mlflow")
    assert found == {"PGHOST": "db", "PGPORT": "5433", "PGDATABASE": "mlflow", "PGUSER": "mlflow", "PGPASSWORD": "p@ss"}


@pytest.mark.slow
def test_a_postgresql_comes_back(out, tmp_path, monkeypatch):
    """Saved, changed, restored: the database is as it was, and the command says so."""
    from tests.services.scenarios.test_stores import postgresql

    with postgresql(tmp_path) as store:
        monkeypatch.setenv("LORETTA_STORE", store)
        query(store, "CREATE TABLE runs (name TEXT); INSERT INTO runs VALUES ('one')")
        assert main(["save", str(out), str(tmp_path / "backup.tar")]) == 0
        query(store, "DELETE FROM runs; INSERT INTO runs VALUES ('two')")
        assert main(["restore", str(tmp_path / "backup.tar"), str(tmp_path / "new")]) == 0
        assert query(store, "SELECT name FROM runs").strip() == "one"
        monkeypatch.delenv("LORETTA_STORE")
        assert main(["restore", str(tmp_path / "backup.tar"), str(tmp_path / "newer")]) == 2


def query(store, text):
    return subprocess.run(["psql", "-XAtq", store, "-c", text], capture_output=True, text=True, check=True).stdout


def test_the_script_runs_as_it_is_documented(out, tmp_path):
    script = ROOT / "cluster" / "backup.py"
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "env": {"PYTHONPATH": str(script.parents[1])}}
    saved = subprocess.run([sys.executable, script, "save", "outputs", "backup.tar"], **run)
    assert (saved.returncode, saved.stdout) == (0, "backup.tar: 6 files and MLflow's database\n"), saved.stderr
    back = subprocess.run([sys.executable, script, "restore", "backup.tar", "restored"], **run)
    assert (back.returncode, back.stdout) == (0, "restored: 2 records, all readable\n"), back.stderr
