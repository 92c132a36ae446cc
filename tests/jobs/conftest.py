"""Cells and output directories for the tests of the jobs."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.tracking.mlflow_setup import prepare
from loretta_core.config import CellConfig, cell_from_overrides
from loretta_core.store.output_dir import check_output_dir
from tests.jobs.head import Head, ray_head

MakeCell = Callable[..., CellConfig]


@pytest.fixture
def cell() -> MakeCell:
    """A cell of the toy task; any setting can be given as `key=value`."""

    def make(*overrides: str) -> CellConfig:
        return cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=lora", "trainer=adam", *overrides])

    return make


@pytest.fixture
def out(tmp_path) -> Path:
    """A fresh output directory."""
    check_output_dir(tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory) -> Path:
    """An MLflow database after its migrations, which take seconds."""
    directory = tmp_path_factory.mktemp("mlflow")
    prepare(f"sqlite:///{directory}/mlflow.db", name="unused", out=directory)
    return directory / "mlflow.db"


@pytest.fixture
def mlflow_uri(out, _empty_database) -> str:
    """MLflow on SQLite in `out`."""
    shutil.copy(_empty_database, out / "mlflow.db")
    return f"sqlite:///{out.resolve()}/mlflow.db"


@pytest.fixture
def dead_server() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """A Ray that is running already, with two cores; shared by all tests that need one."""
    with ray_head(cpus=2) as running:
        yield running
