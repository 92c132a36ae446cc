"""A Ray of our own starts without the helpers that serve nobody, and is Ray's own again afterwards. (That it runs without them: test_sweep.py.)"""

import pytest
from ray._private.node import Node

from jobs.execution.connection.lean_ray import lean_ray

STARTS = ("start_monitor", "start_log_monitor", "start_api_server", "start_gcs_server", "start_raylet")


@pytest.mark.parametrize(
    ("dashboard", "kept"), [(False, {"start_gcs_server", "start_raylet"}), (True, {"start_gcs_server", "start_raylet", "start_api_server"})]
)
def test_helpers_are_left_out_in_the_block_alone(dashboard, kept):
    before = {name: getattr(Node, name) for name in STARTS}
    with lean_ray(dashboard=dashboard):
        assert {name for name in STARTS if getattr(Node, name) is before[name]} == kept
    assert {name: getattr(Node, name) for name in STARTS} == before


def test_an_error_puts_them_back():
    before = Node.start_monitor
    with pytest.raises(RuntimeError), lean_ray(dashboard=False):
        raise RuntimeError("the GCS does not start")
    assert Node.start_monitor is before
