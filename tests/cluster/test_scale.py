"""cluster/scale.py: what it asks for, how it waits, and what it refuses. The autoscaler itself is Ray's."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.scale import bundles, main, wait_for

SCRIPT = Path(__file__).parents[2] / "cluster" / "scale.py"


def test_gpus_come_in_whole_nodes():
    assert bundles(cpus=0, gpus=16, gpus_per_node=8) == [{"GPU": 8.0}] * 2
    assert bundles(cpus=2, gpus=1, accelerator="H100") == [{"GPU": 1.0, "accelerator_type:H100": 0.001}, {"CPU": 1.0}, {"CPU": 1.0}]
    assert bundles(cpus=0, gpus=0) == []
    with pytest.raises(ValueError, match=r"--gpus 12: expected a multiple of --gpus-per-node 8"):
        bundles(cpus=0, gpus=12, gpus_per_node=8)


def test_it_waits_until_the_devices_are_there_or_the_time_is_over():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    def offered():
        return {"CPU": 4.0, "GPU": 0.0 if now[0] < 60 else 8.0}

    assert wait_for({"CPU": 0, "GPU": 8}, offered=offered, timeout_s=100, clock=lambda: now[0], sleep=sleep)
    assert now[0] == 60
    assert not wait_for({"CPU": 0, "GPU": 9}, offered=offered, timeout_s=100, clock=lambda: now[0], sleep=sleep)
    assert wait_for({"CPU": 0, "GPU": 0}, offered=dict, timeout_s=0)


def test_a_wrong_request_is_refused_before_ray_is_imported(capsys):
    assert main(["--gpus", "3", "--gpus-per-node", "2"]) == 2
    assert "nodes come whole" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["--gpus", "-1"])


@pytest.mark.slow
@pytest.mark.ray
def test_an_autoscaler_starts_a_node_and_takes_it_back():
    """Ray's own autoscaler, with nodes that are processes: none, one with a GPU (a number, no device), none again."""
    program = f"""
import subprocess, sys, time
from ray.cluster_utils import AutoscalingCluster
cluster = AutoscalingCluster(
    head_resources={{"CPU": 0}},
    worker_node_types={{"gpu": {{"resources": {{"CPU": 1, "GPU": 1, "object_store_memory": 10**8}}, "node_config": {{}}, "min_workers": 0, "max_workers": 2}}}},
    idle_timeout_minutes=0.1,
    autoscaler_v2=True,
)
cluster.start()
try:
    up = subprocess.run([sys.executable, {str(SCRIPT)!r}, "--gpus", "1", "--timeout", "120"], capture_output=True, text=True)
    print(up.returncode, up.stdout, up.stderr)
    down = subprocess.run([sys.executable, {str(SCRIPT)!r}, "--gpus", "0"], capture_output=True, text=True)
    import ray
    ray.init("auto", log_to_driver=False)
    for _ in range(90):
        if not ray.cluster_resources().get("GPU"):
            break
        time.sleep(1)
    print("LEFT", ray.cluster_resources().get("GPU", 0.0))
    ray.shutdown()
finally:
    cluster.shutdown()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=400)
    assert done.stdout.startswith("0 1 CPU, 1 GPU"), done.stdout + done.stderr
    assert "LEFT 0.0" in done.stdout, done.stdout + done.stderr
