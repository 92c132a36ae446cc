"""Worker groups that cannot be formed: every cell gets the reason, and Ray is not asked."""

import threading

import pytest

from jobs.execution.worker_config import WorkerConfig
from jobs.orchestration import group_run
from jobs.orchestration.group_run import GroupRun, GroupSettings
from jobs.scheduling.backlog import CellBacklog
from jobs.scheduling.resources import Node, WorkerGroupSpec


class Lifecycle:
    """Notes the outcomes of cells."""

    def __init__(self):
        self.outcomes = []

    def next_round(self):
        return None

    def on_outcome(self, outcome):
        self.outcomes.append(outcome)


@pytest.fixture
def refused(cell, out, monkeypatch):
    """Run one cell on a cluster with two cores; returns its outcome."""
    monkeypatch.setattr(group_run, "nodes", lambda: [Node(cpus=2)])

    def run(spec, executor):
        settings = GroupSettings(executor=executor, pack="off", max_concurrent=None, cells_per_round=0, directory=out, worker=WorkerConfig(out=out))
        lifecycle = Lifecycle()
        GroupRun(spec, [cell()], settings=settings, lifecycle=lifecycle, backlog=CellBacklog(lifecycle), stop=threading.Event()).run()
        (outcome,) = lifecycle.outcomes
        return outcome

    return run


def test_a_group_that_never_fits_is_a_failure_of_the_infrastructure(refused):
    outcome = refused(WorkerGroupSpec(1, 4, 0), "train")
    assert (outcome.status, outcome.kind) == ("failed", "infrastructure")
    assert "this cluster can never place it" in outcome.message


def test_several_workers_in_one_process_are_a_failure_of_the_configuration(refused):
    outcome = refused(WorkerGroupSpec(2, 1, 0), "inline")
    assert (outcome.status, outcome.kind) == ("failed", "config")
    assert 'executor = "inline" computes a cell in one process' in outcome.message
