"""Finished cells in an object store: a real S3 server on this machine (moto), and a directory."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from jobs.storage.ledger import read_status
from jobs.storage.mirror import open_mirror
from jobs.sweep import main
from loretta_core.config import load_sweep
from loretta_core.errors import ConfigError, OutputError
from loretta_core.store.layout import cell_directory
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.predictions import Predictions, write_predictions
from loretta_core.store.record_files import RECORD_NAME, read_record, write_record
from loretta_core.store.records import Digests
from tests.jobs.head import stop_all
from tests.jobs.synthetic import finished_record
from tests.jobs.test_sweep import Place, place, run, shared

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """The output directory of another machine: empty."""
    check_output_dir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


@pytest.fixture
def uri(tmp_path) -> str:
    """A directory as a store: the same code, without a server."""
    return f"file://{tmp_path}/store"


@pytest.fixture(scope="session")
def s3(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment in which s3://mirror is a bucket of a server on this machine."""
    if find_spec("moto") is None or find_spec("flask") is None:
        pytest.skip('needs an S3 server: pip install "moto[server]"')
    log = (tmp_path_factory.mktemp("s3") / "log").open("w+")
    command = [sys.executable, "-c", SERVER]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), log.seek(0) or log.read()
        endpoint = f"http://127.0.0.1:{port}"
        make_bucket(f"{endpoint}/mirror", process)
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}
    finally:
        stop_all(process.pid)
        process.wait()
        process.stdout.close()
        log.close()


def make_bucket(url: str, process: subprocess.Popen[str]) -> None:
    """Create a bucket as soon as the server listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=60).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)


SERVER = """
import time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
time.sleep(3600)
"""


def finish(out, cells):
    for cell in cells:
        directory = cell_directory(out, cell.cell_id)
        (directory / "adapter").mkdir(parents=True)
        (directory / "adapter" / "adapter_model.safetensors").write_bytes(os.urandom(3_000_000))
        (directory / "metrics.jsonl").write_text('{"step": 0, "train_loss": 1.0}\n')
        (directory / "sent.json").write_text("[]")
        write_record(finished_record(cell), directory)


def files(directory):
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def copied(uri, out, cells, said):
    with open_mirror(uri, out=out, say=said.append) as mirror:
        mirror.send_missing(read_status(out, cells).finished)


def fetched(uri, out, cells):
    with open_mirror(uri, out=out, say=print) as mirror:
        return mirror.fetch(cells)


def check_both_ways(uri, cell, out, elsewhere):
    cells, said = [cell("seed=0"), cell("seed=1")], []
    finish(out, cells)
    copied(uri, out, cells, said)
    assert said == []
    assert fetched(uri, elsewhere, [*cells, cell("seed=2")]) == 2
    for each in cells:
        here, there = files(cell_directory(out, each.cell_id)), files(cell_directory(elsewhere, each.cell_id))
        assert here.pop("sent.json")  # says what another directory's MLflow has
        assert here == there


def test_cells_arrive_as_they_were(uri, cell, out, elsewhere):
    check_both_ways(uri, cell, out, elsewhere)


@pytest.mark.slow
def test_cells_arrive_as_they_were_through_s3(s3, cell, out, elsewhere, monkeypatch):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    check_both_ways("s3://mirror/both", cell, out, elsewhere)
    with pytest.raises(ConfigError, match=r'mirror = "s3://nowhere/x": cannot be read'), open_mirror("s3://nowhere/x", out=out, say=print):
        pass


def test_what_is_not_complete_there_is_computed_here(uri, cell, out, elsewhere, tmp_path):
    cells = [cell(f"seed={seed}") for seed in range(3)]
    finish(out, cells)
    copied(uri, out, cells, [])
    store = tmp_path / "store" / "cells"
    (store / cells[0].cell_id / RECORD_NAME).unlink()  # a driver that died while it copied
    (store / cells[1].cell_id / RECORD_NAME).write_text((store / cells[1].cell_id / RECORD_NAME).read_text().replace("0.9", "0.8"))
    assert fetched(uri, elsewhere, cells) == 1
    assert read_status(elsewhere, cells).finished.keys() == {cells[2].cell_id}
    assert not (elsewhere / "arriving").exists()


def test_what_an_interrupted_attempt_left_gives_way(uri, cell, out, elsewhere):
    finish(out, [cell()])
    copied(uri, out, [cell()], [])
    directory = cell_directory(elsewhere, cell().cell_id)
    directory.mkdir(parents=True)
    (directory / "checkpoint.safetensors").write_bytes(b"half")
    assert fetched(uri, elsewhere, [cell()]) == 1
    assert not (directory / "checkpoint.safetensors").exists()


def scored(out, cell):
    """Give a trained cell its test score, as a worker does."""
    directory, predictions = cell_directory(out, cell.cell_id), Predictions(metric="accuracy", test_sha256="t", predictions=(1,), right="1")
    write_predictions(predictions, directory)
    write_record(finished_record(cell).model_copy(update={"digests": Digests(predictions=predictions.sha256)}), directory)


def test_a_test_score_that_comes_later_is_copied_later(uri, cell, out, elsewhere):
    trial = cell().model_copy(update={"score_test": False})
    finish(out, [trial])
    copied(uri, out, [trial], [])
    assert fetched(uri, elsewhere, [cell()]) == 1  # trained already: only the test rows are left
    assert read_status(elsewhere, [cell()]).unscored.keys() == {cell().cell_id}
    assert fetched(uri, elsewhere, [cell()]) == 0  # there is no more than what is here

    scored(out, cell())
    copied(uri, out, [cell()], [])
    assert fetched(uri, elsewhere, [cell()]) == 1
    assert read_status(elsewhere, [cell()]).finished.keys() == {cell().cell_id}
    with open_mirror(uri, out=out, say=print) as mirror:
        mirror.send = lambda cell_id: pytest.fail("it is there")
        mirror.send_missing(read_status(out, [cell()]).finished)


def test_a_cell_that_is_computed_again_is_complete_there_no_longer(uri, cell, out, elsewhere):
    finish(out, [cell()])
    copied(uri, out, [cell()], [])
    with open_mirror(uri, out=elsewhere, say=print) as mirror:
        mirror.invalidate([cell().cell_id])
    assert fetched(uri, elsewhere, [cell()]) == 0


def test_a_store_that_fails_meanwhile_is_said_and_tried_again(uri, cell, out, tmp_path):
    finish(out, [cell()])
    said = []
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "cells").touch()  # not a directory
    with pytest.raises(ConfigError, match="cannot be read"):
        copied(uri, out, [cell()], said)
    (tmp_path / "store" / "cells").unlink()
    with open_mirror(uri, out=out, say=said.append) as mirror:
        (tmp_path / "store" / "cells").touch()
        mirror.send(cell().cell_id)
    assert "1 cell not copied" in said[0]
    (tmp_path / "store" / "cells").unlink()
    copied(uri, out, [cell()], said)
    assert len(said) == 1
    assert read_record(tmp_path / "store" / "cells" / cell().cell_id).score.value == 0.9


def test_an_output_directory_in_a_store_is_refused_with_the_way_that_works():
    with pytest.raises(OutputError, match=r's3://bucket/x: the output directory needs a file system .* mirror = "s3://'):
        check_output_dir(Path("s3://bucket/x"))


@pytest.mark.integration
def test_a_finished_sweep_is_compared_from_the_mirror_alone(uri, out, mlflow_uri, tmp_path, capsys):
    here = place(tmp_path, 0, 1)
    here.file.write_text(f'mirror = "{uri}"\n' + here.file.read_text())
    cells = load_sweep(here.file).cells
    finish(out, cells)
    copied(uri, out, cells, [])
    assert main([str(here.file), "--out", str(tmp_path / "new"), "--tracking-uri", mlflow_uri]) == 0
    shown = capsys.readouterr().out
    assert "2 finished cells fetched" in shown
    assert "2 of 2 cells finished, nothing to run" in shown


@pytest.mark.slow
@pytest.mark.ray
def test_another_machine_goes_on_with_the_sweep(s3, tmp_path, head):
    here = place(tmp_path, 0, 1, 2, 3)
    here.file.write_text('mirror = "s3://mirror/sweep"\n' + here.file.read_text())
    environment = {**shared(head), **s3}
    command = [*here.command, "--set", "executor=inline"]
    first = run([*command, "--set", "budget.cells=2"], environment)
    assert first.code == 0, first.output + first.errors
    assert len(here.records) == 2
    shutil.rmtree(here.out)
    other = Place(here.file, tmp_path / "other")
    second = run([*other.command, "--set", "executor=inline"], environment)
    assert second.code == 0, second.output + second.errors
    assert "2 of 4 cells finished, 2 to run" in second.output
    assert [len(other.attempts(seed)) for seed in range(4)] == [1] * 4
