"""cluster/local.sh: what it refuses, and a cluster of two workers that starts, demands its token, runs a job and is gone after `stop`."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.paths import ROOT

SCRIPT = ROOT / "cluster" / "local.sh"
MARK = b"LORETTA_CLUSTER_MARK="

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="the script finds its processes in /proc"),
]


@pytest.fixture
def state():
    """Return a directory for the files of a cluster, which is stopped afterwards; tmp_path would be too long for Ray's sockets."""
    parent = Path(tempfile.mkdtemp(prefix="lor-", dir="/tmp"))
    directory = parent / "c"
    yield directory
    if directory.exists():
        local("stop", state=directory)
    shutil.rmtree(parent)


def local(*arguments, state, **variables):
    names = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment.update({"LORETTA_CLUSTER_DIR": str(state), **variables})
    return subprocess.run([str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "usage: cluster/local.sh [--netns] N | stop"),
        (("0",), "'0' is neither a number of workers (1 to 16) nor 'stop'"),
        (("17",), "'17' is neither"),
        (("-1",), "'-1' is neither"),
        (("two",), "'two' is neither"),
        (("2", "3"), "expected one argument, got 2: 2 3"),
        (("--netns",), "usage: cluster/local.sh [--netns] N | stop"),
        (("--netns", "0"), "'0' is neither"),
        (("--netns", "stop"), "expected one argument, got 2: --netns stop"),
    ],
)
def test_wrong_arguments(arguments, message, state):
    result = local(*arguments, state=state)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert not state.exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"LORETTA_CLUSTER_CPUS": "0"}, "LORETTA_CLUSTER_CPUS=0: expected a whole number of CPUs"),
        ({"LORETTA_CLUSTER_CPUS": "a[$(id)]"}, "expected a whole number of CPUs"),
        ({"LORETTA_CLUSTER_GPUS": "many"}, "LORETTA_CLUSTER_GPUS=many: expected a whole number of GPUs"),
        ({"LORETTA_RAY_PORT": "70000"}, "LORETTA_RAY_PORT=70000: expected a port"),
        ({"LORETTA_DASHBOARD_PORT": "x"}, "LORETTA_DASHBOARD_PORT=x: expected a port"),
        ({"LORETTA_CLUSTER_DIR": "relative/path"}, "LORETTA_CLUSTER_DIR=relative/path: expected an absolute path"),
        ({"LORETTA_CLUSTER_DIR": f"/tmp/{'x' * 60}"}, "too long for Ray's sockets: 65 characters"),
        ({"LORETTA_CLUSTER_DIR": "/no-such-directory/c"}, "cannot create /no-such-directory/c"),
    ],
)
def test_wrong_settings(variables, message, state):
    result = local("1", **{"state": state, **variables})
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert not state.exists()


def test_a_port_in_use_is_refused(state):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = local("1", state=state, LORETTA_DASHBOARD_PORT=port)
    assert result.returncode == 2
    assert f"LORETTA_DASHBOARD_PORT={port}: another process listens there" in result.stderr
    assert not state.exists()


def test_a_directory_of_somebody_else_is_left_alone(state):
    state.mkdir()
    (state / "precious").write_text("mine")
    for argument in ("1", "stop"):
        result = local(argument, state=state)
        assert result.returncode == 2, argument
        assert (state / "precious").read_text() == "mine"
    shutil.rmtree(state)  # or the fixture would try to stop it


def test_nothing_to_stop(state):
    result = local("stop", state=state)
    assert result.returncode == 0
    assert "nothing to stop" in result.stdout


@pytest.mark.integration
@pytest.mark.slow
def test_a_cluster_of_two_workers(state, tmp_path):
    started = local("2", state=state, LORETTA_CLUSTER_CPUS="1")
    assert started.returncode == 0, started.stderr
    variables = exported(state)
    for name, value in variables.items():
        assert f"export {name}={value}" in started.stdout
    assert "ray job submit --working-dir . -- python -m jobs.sweep" in started.stdout
    assert "cluster/local.sh stop" in started.stdout
    assert stat.S_IMODE((state / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700

    _refuses_without_token(variables)
    _a_job_sees_three_nodes(variables, tmp_path)
    again = local("2", state=state)
    assert again.returncode == 2
    assert "cluster/local.sh stop" in again.stderr

    bystander = subprocess.Popen(["sleep", "300"], env={**os.environ, "RAY_AUTH_TOKEN_PATH": str(state / "token")})
    try:
        marked = processes_of(state)
        assert len(marked) > 6  # a head and two raylets with their agents
        stopped = local("stop", state=state)
        assert (stopped.returncode, stopped.stdout) == (0, "stopped\n"), stopped.stderr
        assert not [pid for pid in marked if alive(pid)]
        assert not state.exists()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def _refuses_without_token(variables):
    url = f"{variables['RAY_API_SERVER_ADDRESS']}/api/jobs/"
    token = Path(variables["RAY_AUTH_TOKEN_PATH"]).read_text()
    for headers, expected in (({}, 401), ({"Authorization": "Bearer wrong"}, 403), ({"Authorization": f"Bearer {token}"}, 200)):
        assert status_of(url, headers) == expected
    submission = json.dumps({"entrypoint": "true"}).encode()
    assert status_of(url, {"Content-Type": "application/json"}, data=submission) == 401


def _a_job_sees_three_nodes(variables, directory):
    (directory / "job.py").write_text(
        "import ray\nray.init()\nalive = [node for node in ray.nodes() if node['Alive']]\n"
        "cpus = sorted(node['Resources'].get('CPU', 0) for node in alive)\n"
        "@ray.remote\ndef double(x):\n    return 2 * x\n"
        "print('RESULT', len(alive), cpus, ray.get([double.remote(each) for each in (20, 21)]))\n"
        # A node that is done with the job's files must not remove those of another node.
        "import pathlib, subprocess, sys\n"
        "for _ in range(2):\n    subprocess.run([sys.executable, '-c', 'import ray; ray.init()'], capture_output=True, check=True)\n"
        "print('FILES', [path.name for path in pathlib.Path().iterdir()])\n"
    )
    ray = Path(sys.executable).parent / "ray"
    arguments = [str(ray), "job", "submit", "--working-dir", str(directory), "--", "python", "job.py"]
    job = subprocess.run(arguments, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300)
    assert job.returncode == 0, job.stdout + job.stderr
    assert "RESULT 3 [0, 1.0, 1.0] [40, 42]" in job.stdout
    assert "FILES ['job.py']" in job.stdout


def exported(state):
    """Return the variables that `source STATE/env` sets."""
    return dict(line.removeprefix("export ").split("=", 1) for line in (state / "env").read_text().splitlines())


def processes_of(state):
    mark = MARK + (state / "mark").read_text().strip().encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended, or it is not ours
    return found


def alive(pid):
    """Return whether a process runs; a zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def status_of(url, headers, *, data=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
