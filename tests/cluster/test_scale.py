"""cluster/scale.py: what it asks for, how it waits, and what it refuses. The autoscaler itself is Ray's, whose wheel lacks what its own test cluster needs."""

import pytest

from cluster.scale import bundles, main, wait_for


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
