"""Worker groups: how many fit, which never fit, and that trials and groups never compete for the last core."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.scheduling.resources import TRIAL_CPUS, Node, WorkerGroupSpec, by_group_spec, explain_unplaceable, group_spec_of, groups_that_fit


@pytest.mark.parametrize(
    ("spec", "nodes", "groups"),
    [
        (WorkerGroupSpec(1, 1, 0), [Node(2)], 2),
        (WorkerGroupSpec(1, 2, 0), [Node(3)], 1),
        (WorkerGroupSpec(1, 3, 0), [Node(2), Node(2)], 0),  # cores of two machines do not add up for one worker
        (WorkerGroupSpec(2, 2, 0), [Node(2), Node(2)], 1),  # but two workers may lie on two machines
        (WorkerGroupSpec(1, 0.5, 0), [Node(2)], 4),
        (WorkerGroupSpec(1, 0.1, 0), [Node(0.3)], 3),  # 0.3 / 0.1 is 2.9999… in floating point
        (WorkerGroupSpec(1, 1, 1), [Node(8, 2), Node(8, 0)], 2),
        (WorkerGroupSpec(4, 1, 1), [Node(8, 4), Node(8, 3)], 1),
        (WorkerGroupSpec(1, 1, 0.5), [Node(8, 1)], 2),
        (WorkerGroupSpec(1, 1, 0), [], 0),
    ],
)
def test_groups_that_fit(spec, nodes, groups):
    assert groups_that_fit(spec, nodes) == groups
    assert (explain_unplaceable(spec, nodes) is None) == (groups > 0)


def test_the_reason_shows_the_arithmetic_and_the_way_out():
    why = explain_unplaceable(WorkerGroupSpec(4, 4, 1), [Node(8, 1), Node(16, 2)])
    assert "4 workers with 4 CPU and 1 GPU each" in why
    assert "1 on a node with 8 CPU + 1 GPU + 2 on a node with 16 CPU + 2 GPU = 3 of 4 workers" in why
    assert "lower engine.cpus or engine.gpus" in why


@given(workers=st.integers(1, 4), cpus=st.sampled_from([0.1, 0.25, 0.5, 1.0, 2.0, 3.0]), cores=st.sampled_from([1.0, 2.0, 4.0, 7.0, 64.0]))
def test_full_of_groups_a_cluster_has_room_for_the_trials_in_front(workers, cpus, cores):
    spec = WorkerGroupSpec(workers, cpus, 0.0)
    groups = groups_that_fit(spec, [Node(cores)])
    taken = groups * workers * spec.worker_resources["CPU"]
    trials = (groups + 1) * TRIAL_CPUS if groups else 0
    assert taken + trials <= cores + 1e-6


def test_a_worker_asks_for_gpus_only_if_the_cell_does():
    assert WorkerGroupSpec(1, 1, 0).worker_resources == {"CPU": 0.98}
    assert WorkerGroupSpec(1, 4, 0.5).worker_resources == {"CPU": 3.98, "GPU": 0.5}


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1.0, 1), (1.9, 1), (4.0, 4)])
def test_threads_are_whole_cores(cpus, threads):
    assert WorkerGroupSpec(1, cpus, 0).threads == threads


def test_cells_share_groups_by_spec_large_ones_first(cell):
    small, large, small_too = cell("seed=0"), cell("seed=1", "engine.cpus=2"), cell("seed=2")
    assert group_spec_of(large) == WorkerGroupSpec(1, 2.0, 0.0)
    assert list(by_group_spec([small, large, small_too]).items()) == [
        (WorkerGroupSpec(1, 2.0, 0.0), [large]),
        (WorkerGroupSpec(1, 1.0, 0.0), [small, small_too]),
    ]


@pytest.mark.parametrize(("gpus", "slots"), [(0.25, 8), (0.5, 4), (0.6, 2), (1.0, 2), (2.0, 1)])
def test_shares_of_a_gpu_do_not_reach_across_two(gpus, slots):
    assert Node(cpus=16, gpus=2).slots(WorkerGroupSpec(workers=1, cpus=1, gpus=gpus)) == slots
