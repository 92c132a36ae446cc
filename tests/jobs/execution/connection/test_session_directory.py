"""Session directories: ours have an owner; only those that certainly nobody uses are dead."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from jobs.execution.connection import session_directory
from jobs.execution.connection.session_directory import SILENT_S, dead_session_directories, make_session_directory, processes_of, remove_session


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    monkeypatch.setattr(session_directory, "_base", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def left(base):
    """What a killed sweep of an earlier version left: no owner, and nothing was written for a while."""
    directory = base / "lor-abcd_123"
    (directory / "session_2026" / "logs").mkdir(parents=True)
    _age(directory)
    return directory


def _age(directory):
    for path in [*directory.rglob("*"), directory]:
        os.utime(path, (time.time() - 2 * SILENT_S,) * 2)


def test_what_a_killed_sweep_left_is_dead_and_is_removed(left):
    assert dead_session_directories() == [left]
    remove_session(left)
    assert not left.exists()


def test_a_directory_of_a_living_driver_is_not_dead_and_one_of_a_dead_driver_is():
    directory = make_session_directory()
    _age(directory)
    assert dead_session_directories() == []
    driver = subprocess.Popen([sys.executable, "-c", ""])
    driver.wait()
    (directory / "owner").write_text(str(driver.pid))
    _age(directory)
    assert dead_session_directories() == [directory]


@pytest.mark.parametrize("change", ["written", "foreign file", "other name", "link"])
def test_what_may_be_somebody_elses_is_left_alone(change, left, base):
    match change:
        case "written":
            (left / "session_2026" / "logs" / "gcs_server.out").touch()
        case "foreign file":
            (left / "thesis.tex").touch()
            _age(left)
        case "other name":
            left.rename(base / "lor-notes")
        case "link":
            (base / "elsewhere").mkdir()
            left.rename(base / "elsewhere" / left.name)
            left.symlink_to(base / "elsewhere" / left.name)
    assert dead_session_directories() == []


def test_processes_of_ray_are_told_from_those_that_look_at_a_log(left):
    code = "import time; print(flush=True); time.sleep(60)"
    arguments = ("/site-packages/ray/agent.py", "less")
    agent, reader = (subprocess.Popen([sys.executable, "-c", code, argument, str(left)], stdout=subprocess.PIPE) for argument in arguments)
    try:
        for process in (agent, reader):
            assert process.stdout is not None
            with process.stdout:
                process.stdout.readline()  # it runs
        assert [process.pid for process in processes_of(left)] == [agent.pid]
        remove_session(left)
        agent.wait(10)
        assert not psutil.pid_exists(agent.pid)
        assert reader.poll() is None
    finally:
        for process in (agent, reader):
            process.kill()
            process.wait()


def test_an_agent_that_has_named_itself_is_known_by_its_log(left, tmp_path):
    agents = []
    for log in (left / "session_2026" / "agent.log", tmp_path / "agent.log"):
        with log.open("w") as output:
            agents.append(subprocess.Popen(["/bin/bash", "-c", "exec -a ray::DashboardAgent sleep 60"], stdout=output))
    ours, other = agents
    try:
        while not all("".join(psutil.Process(agent.pid).cmdline()).startswith("ray::") for agent in agents):
            time.sleep(0.01)
        assert [process.pid for process in processes_of(left)] == [ours.pid]
        remove_session(left)
        ours.wait(10)
        assert other.poll() is None
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()
