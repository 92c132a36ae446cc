"""Fixtures: a sweep, an output directory with its results, the application on it, and a snapshot of a directory's files."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from loretta_core.config import load_sweep
from loretta_core.store.layout import ARRIVED_NAME
from loretta_core.store.manifest import write_manifest
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.record_files import write_record
from services.app import add_request_guard, create_app, make_services
from services.server.settings import ApiSettings
from tests.jobs.synthetic import finished_record
from tests.services.cluster import MemoryCluster

SWEEP = """
name = "small"
description = "two cells"
[defaults]
model = "toy-bert"
task = "toy_sentiment"
trainer = {type = "adam", steps = 5}
[axes]
method = ["lora", {type = "loretta_adp", tensor_rank = 4}]
"""


@pytest.fixture
def sweep_file(tmp_path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SWEEP)
    return path


@pytest.fixture
def results(tmp_path, sweep_file) -> Path:
    """Return an output directory in which every cell of the sweep is finished."""
    out = tmp_path / "results"
    check_output_dir(out)
    write_manifest(out, sweep=load_sweep(sweep_file))
    finish(sweep_file, out)
    return out


def finish(sweep_file: Path, out: Path) -> None:
    """Write what a finished cell leaves, for every cell of a sweep: a record, and the note that MLflow has its metrics."""
    for cell in load_sweep(sweep_file).cells:
        write_record(finished_record(cell), out / "cells" / cell.cell_id)
        (out / "cells" / cell.cell_id / ARRIVED_NAME).touch()


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Return modification time and content of every file, by path."""
    return {str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


@pytest.fixture(scope="session")
def application(tmp_path_factory):
    """Return one application for all tests, which put their services into it: its routes take 0.2 s to build."""
    out = tmp_path_factory.mktemp("api")
    return create_app(ApiSettings(out=out, port=8000, allowed_hosts=("127.0.0.1:8000",), tokens=out / "tokens.json"), client=MemoryCluster())


@pytest.fixture
def serve_api(results, cluster, application):
    """Return a function that makes a client of an API on `results`, with changed settings."""

    def make(*, host: str = "127.0.0.1:8000", token: str = "", **changes) -> TestClient:
        settings = ApiSettings(out=results, port=8000, allowed_hosts=("127.0.0.1:8000",), tokens=results / "tokens.json", **changes)
        application.state.services = make_services(settings, client=cluster)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return TestClient(add_request_guard(application, settings), base_url=f"http://{host}", headers=headers, follow_redirects=False)

    return make


@pytest.fixture
def api(serve_api) -> TestClient:
    """Return a client of a server without tokens, as on a laptop."""
    return serve_api()
