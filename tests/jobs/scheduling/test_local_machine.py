"""A cell that this machine can never hold is refused from what is known without Ray."""

import pytest

from jobs.scheduling import local_machine
from jobs.scheduling.local_machine import check_placeable
from jobs.scheduling.resources import Node
from loretta_core.errors import ResourceError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(local_machine, "local_node", lambda: Node(cpus=2, gpus=0))


def test_what_fits_passes_and_so_does_auto(cell):
    check_placeable([cell("engine.cpus=2"), cell('engine={type="ddp", workers=2}'), cell("engine=auto", "engine.cpus=64")])


@pytest.mark.parametrize("engine", ["engine.cpus=3", "engine.gpus=1", 'engine={type="ddp", workers=4}'])
def test_what_never_fits_is_refused_with_the_arithmetic(engine, cell):
    with pytest.raises(ResourceError, match=r"1 cell, such as toy-bert .*: the cell needs .*room for .* on a node with 2 CPU") as error:
        check_placeable([cell(), cell(engine)])
    assert "RAY_ADDRESS" in str(error.value)


def test_the_bound_is_no_less_than_what_ray_finds(monkeypatch):
    monkeypatch.undo()
    node = local_machine.local_node()
    assert node.cpus >= 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local_machine.local_node().gpus == 0
