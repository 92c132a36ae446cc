"""MLflow on a real SQLite and a real PostgreSQL, behind `loretta serve`: many writers at once lose nothing, and a killed server has lost nothing."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.serving import child_processes, serving

pytestmark = pytest.mark.slow

WRITERS, METRICS = 16, 1000

WRITER = """
import sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric
client = MlflowClient(tracking_uri=sys.argv[1])
experiment = client.get_experiment_by_name("load").experiment_id
run = client.create_run(experiment, run_name=sys.argv[2]).info.run_id
for start in range(0, int(sys.argv[3]), 100):
    client.log_batch(run, metrics=[Metric("loss", 1 / (step + 1), int(time.time() * 1000), step) for step in range(start, start + 100)])
    print(start + 100, flush=True)
client.set_terminated(run)
"""


@contextmanager
def postgresql(directory: Path):
    """Run a PostgreSQL of Debian's package in a directory of its own and yield the URL of an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    binaries = found[-1].parent
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name  # it refuses to run as root
    as_user = ["runuser", "-u", user, "--"] if os.getuid() == 0 else []
    data = Path(subprocess.check_output([*as_user, "mktemp", "-d"], text=True).strip())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        subprocess.run([*as_user, binaries / "initdb", "-D", data / "db", "--auth=trust", "--username=mlflow"], check=True, capture_output=True, cwd="/")
        options = ["-D", data / "db", "-h", "127.0.0.1", "-p", str(port), "-k", data, "-c", "max_connections=200"]
        with (directory / "postgres.log").open("wb") as log:
            process = subprocess.Popen([*as_user, binaries / "postgres", *options], stdout=subprocess.DEVNULL, stderr=log, cwd="/")
        try:
            _wait_for(port)
            subprocess.run([binaries / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "mlflow"], check=True, cwd="/")
            yield f"postgresql://mlflow:secret@127.0.0.1:{port}/mlflow"
        finally:
            for pid in [*child_processes(process.pid), process.pid]:
                os.kill(pid, signal.SIGINT)
            process.wait(timeout=30)
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _wait_for(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(1)  # it listens a moment before it answers
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("PostgreSQL does not listen")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """Yield the environment that names the store."""
    if request.param == "sqlite":
        yield {}
        return
    with postgresql(tmp_path) as url:
        yield {"LORETTA_STORE": url}


def clients(mlflow, count):
    command = [sys.executable, "-c", WRITER, mlflow]
    return [subprocess.Popen([*command, f"writer-{index}", str(METRICS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for index in range(count)]


def mlflow_of(lines):
    return lines[1].split("MLflow UI: ")[1].split()[0]


def test_sixteen_writers_lose_nothing(store, tmp_path):
    from jobs.tracking.mlflow_setup import connect

    with serving(tmp_path / "out", environment=store) as (process, lines):
        client = connect(mlflow_of(lines))
        experiment = client.create_experiment("load")
        writers = clients(mlflow_of(lines), WRITERS)
        for writer in writers:
            _, errors = writer.communicate(timeout=400)
            assert writer.returncode == 0, errors[-2000:]
        runs = client.search_runs([experiment])
        assert sorted(run.info.run_name for run in runs) == sorted(f"writer-{index}" for index in range(WRITERS))
        for run in runs:
            history = client.get_metric_history(run.info.run_id, "loss")
            assert sorted(point.step for point in history) == list(range(METRICS))
        if store:  # the password is nowhere that others can see it
            everything = " ".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in child_processes(process.pid))
            assert "secret" not in everything
            assert not any("secret" in log.read_text() for log in (tmp_path / "out").glob("*.log"))
            assert not (tmp_path / "out" / "mlflow.db").exists()


def test_what_was_acknowledged_before_a_kill_is_there_after_the_restart(store, tmp_path):
    from jobs.tracking.mlflow_setup import connect

    with serving(tmp_path / "out", environment=store) as (process, lines):
        experiment = connect(mlflow_of(lines)).create_experiment("load")
        (writer,) = clients(mlflow_of(lines), 1)
        acknowledged = int(writer.stdout.readline())
        for pid in child_processes(process.pid):
            os.kill(pid, signal.SIGKILL)
        assert process.wait(timeout=60) == 1
        writer.kill()
        acknowledged = max([acknowledged, *map(int, writer.communicate()[0].split())])
    with serving(tmp_path / "out", environment=store) as (_, lines):
        client = connect(mlflow_of(lines))
        (run,) = client.search_runs([experiment])
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss")]
        assert len(steps) == len(set(steps))
        assert set(range(acknowledged)) <= set(steps)
        assert len(steps) % 100 == 0  # a batch is there as a whole, or not at all
