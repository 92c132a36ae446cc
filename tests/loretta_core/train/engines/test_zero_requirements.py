"""A `zero` cell whose requirements are missing is refused before anything starts."""

import pytest

from jobs.orchestration.preflight import check_inputs
from loretta_core.config import cell_from_overrides
from loretta_core.config.engine import Zero
from loretta_core.errors import ConfigError
from loretta_core.train.engines import zero_requirements as here
from loretta_core.train.engines.zero_requirements import check_zero

VERSIONS = {"deepspeed": "0.19.8", "torch": "2.13.0+cpu"}


@pytest.fixture
def machine(monkeypatch):
    """A machine where everything is installed, but for what a test changes."""

    def make(*, versions=VERSIONS, prebuilt=None, programs=("g++", "ninja"), aio="libaio.so.1"):
        monkeypatch.setattr(here, "installed_version", versions.get)
        monkeypatch.setattr(here, "prebuilt_torch", lambda: prebuilt)
        monkeypatch.setattr(here.shutil, "which", lambda name: name if name in programs else None)
        monkeypatch.setattr(here.util, "find_spec", lambda name: None)
        monkeypatch.setattr(here, "find_library", lambda name: aio)

    return make


@pytest.mark.parametrize(
    ("settings", "engine", "message"),
    [
        ({"versions": {"torch": "2.13.0"}}, {}, r"DeepSpeed, which is not installed here: pip install '.\[deepspeed\]'"),
        ({"versions": {"deepspeed": "0.16.3"}}, {}, r"written for DeepSpeed 0.19, and 0.16.3 is installed"),
        ({"prebuilt": "2.6"}, {}, r"built for torch 2.6, and torch 2.13.0\+cpu is installed; build it anew"),
        ({"programs": ()}, {"offload": "cpu"}, r"g\+\+ and ninja is not here"),
        ({"aio": None}, {"offload": "nvme", "stage": 3, "nvme_path": "."}, "libaio is not here"),
        ({}, {"offload": "nvme", "stage": 3, "nvme_path": "/proc/none"}, r"'/proc/none' is not a directory that can be written"),
    ],
)
def test_refused_with_what_to_do(settings, engine, message, machine):
    machine(**settings)
    with pytest.raises(ConfigError, match=message):
        check_zero(Zero(type="zero", **engine))


@pytest.mark.parametrize("engine", [{}, {"offload": "cpu"}, {"offload": "nvme", "stage": 3, "nvme_path": "."}])
def test_a_machine_with_everything_does_not_raise(engine, machine):
    machine(prebuilt="2.13")
    check_zero(Zero(type="zero", **engine))


def test_a_sweep_looks_before_it_starts(machine):
    machine(versions={})
    cell = cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=ft", "trainer=adam", "engine=zero"])
    with pytest.raises(ConfigError, match="not installed here"):
        check_inputs([cell])


def test_the_installed_one_is_read_without_importing_it():
    assert here.prebuilt_torch() is None or here.prebuilt_torch().count(".") == 1
