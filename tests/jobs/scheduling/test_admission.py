"""Admission to a cluster with GPUs, and what its GPUs cost."""

from jobs.scheduling.admission import admit, devices_for, gpu_price
from jobs.scheduling.resources import Node

H100 = Node(cpus=16, gpus=2, memory_bytes=10**11, accelerator="H100")


def test_a_share_of_a_gpu_has_its_share_of_the_memory(cell):
    whole, quarter = (devices_for(cell(f"engine.gpus={gpus}"), [H100]) for gpus in (1, 0.25))
    assert quarter.count == 1
    assert quarter.device.memory_bytes == whole.device.memory_bytes // 4
    assert not admit([cell("engine.gpus=0.25")], [H100]).refused


def test_the_price_is_that_of_the_clusters_gpus():
    assert gpu_price([Node(cpus=2), H100]) == 2.99
    assert gpu_price([Node(cpus=2)]) is None
