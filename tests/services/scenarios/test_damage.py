"""No file of an output directory, whatever becomes of it, breaks a command, the API or a page; each says which file it is."""

import json

import pytest

from jobs.execution.connection import session_directory
from loretta_core.config import load_sweep
from loretta_core.store.adapter_files import adapter_digest
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.manifest import read_manifest, write_manifest
from loretta_core.store.output_dir import check_output_dir, write_atomically
from loretta_core.store.predictions import Predictions, write_predictions
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Digests
from loretta_core.store.search_state import SEARCH_STATE_NAME, SearchState
from services import cli
from services.commands import doctor
from tests.jobs.synthetic import finished_record
from tests.services.conftest import SWEEP

PREDICTIONS = Predictions(metric="accuracy", test_sha256="t", predictions=(1, 0, 1), right="110")
JOURNAL = '{"step": 1, "time": 1.0, "train_loss": 0.5}\n{"status": "finished", "time": 2.0, "score": 0.9, "trainable_params": 10.0, "steps": 5}\n'

COMPARED = {"record", "predictions", "manifest", "early stop", "FORMAT.json"}
"""Files that a comparison reads."""
SERVED = {"record", "predictions", "manifest", "early stop"}
"""Files that the API and the pages read."""

FILES = [*sorted(COMPARED), "settings", "settings of a stopped cell", "journal", "journal of a stopped cell", "search", "weights"]

DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "random bytes": lambda path: path.write_bytes(bytes((7919 * place) % 251 for place in range(300))),
    "another object": lambda path: path.write_text('{"shape": {"another": 1}, "step": "x", "train_loss": []}'),
    "a list": lambda path: path.write_text("[[1, 2], null]"),
}


@pytest.fixture
def results(tmp_path):
    """Return an output directory with two finished cells and all of their files, one that was stopped early, and the state of a search."""
    out = tmp_path / "results"
    (tmp_path / "small.toml").write_text(SWEEP.replace('"lora"', '"lora", "ft"'))
    sweep = load_sweep(tmp_path / "small.toml")
    check_output_dir(out)
    write_manifest(out, sweep=sweep)
    write_atomically(out / "sweeps" / "small" / SEARCH_STATE_NAME, SearchState(search="0" * 64, points={"point": [{"trainer.lr": 1e-3}]}).model_dump_json())
    write_early_stop(EarlyStop(cell_id=sweep.cells[2].cell_id, reason="others did better", stopped_at="now"), out, name="small")
    for cell in sweep.cells:
        directory = out / "cells" / cell.cell_id
        directory.mkdir(parents=True)
        (directory / "cell.json").write_text(cell.to_json())
        (directory / "metrics.jsonl").write_text(JOURNAL)
    for cell in sweep.cells[:2]:
        _finish(cell, out / "cells" / cell.cell_id)
    return out


def _finish(cell, directory):
    (directory / "adapter").mkdir()
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (directory / "adapter" / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    write_predictions(PREDICTIONS, directory)
    digests = Digests(predictions=PREDICTIONS.sha256, adapter=adapter_digest(directory / "adapter"))
    write_record(finished_record(cell).model_copy(update={"digests": digests, "adapter": "adapter"}), directory)


def _paths(out):
    first, _, stopped = (out / "cells" / cell_id for cell_id in read_manifest(out, name="small").cells)
    sweep = out / "sweeps" / "small"
    return {
        "record": first / "record.json", "predictions": first / "predictions.json", "settings": first / "cell.json", "journal": first / "metrics.jsonl",
        "weights": first / "adapter" / "adapter_model.safetensors", "settings of a stopped cell": stopped / "cell.json",
        "journal of a stopped cell": stopped / "metrics.jsonl", "manifest": sweep / "sweep.json", "search": sweep / "search.json",
        "early stop": sweep / "stopped" / f"{stopped.name}.json", "FORMAT.json": out / "FORMAT.json",
    }  # fmt: skip


@pytest.fixture
def damaged(results, request):
    """Return the output directory in which one file is damaged, and the path of the file."""
    what, damage = request.param
    path, ids = _paths(results)[what], read_manifest(results, name="small").cells
    DAMAGE[damage](path)
    return results, what, path, ids


EVERY = pytest.mark.parametrize("damaged", [(what, damage) for what in FILES for damage in DAMAGE], ids=" ".join, indirect=True)


@EVERY
def test_compare_goes_on_or_refuses_and_names_the_file(damaged, capsys):
    out, what, path, ids = damaged
    code = cli.main(["compare", "small", "--out", str(out), "--json"])
    said = capsys.readouterr()
    assert code == (2 if what in ("manifest", "FORMAT.json") else 0)
    if what in COMPARED:
        assert (str(path) in said.out + said.err, "damaged" in said.out + said.err or "format" in said.err) == (True, True)
    if code == 0:
        statuses = {row["cell_id"]: row["status"] for row in json.loads(said.out)["cells"]}
        broken = {"record": ids[0], "predictions": ids[0], "early stop": ids[2]}.get(what)
        assert statuses == {ids[0]: "finished", ids[1]: "finished", ids[2]: "stopped early", **({broken: "damaged"} if broken else {})}


@pytest.mark.parametrize("damaged", [(what, "a directory") for what in sorted(COMPARED - {"manifest", "FORMAT.json"})], ids=" ".join, indirect=True)
def test_the_table_the_markdown_and_the_report_name_the_file(damaged, capsys):
    out, _, path, _ = damaged
    assert cli.main(["compare", "small", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    directory = out / "sweeps" / "small"
    for text in (said, (directory / "table.md").read_text(), (directory / "report.html").read_text(), (directory / "table.json").read_text()):
        assert (str(path) in text, "damaged" in text) == (True, True), text


@EVERY
def test_the_doctor_names_the_file_and_is_not_content(damaged, capsys, monkeypatch):
    out, what, path, _ = damaged
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(doctor, "installed_versions", dict)
    code = cli.main(["doctor", "--out", str(out), "--json"])
    problems = [found for found in json.loads(capsys.readouterr().out)["findings"] if found["state"] == "problem"]
    if what == "journal of a stopped cell":
        return  # it may end anywhere: its process was stopped
    assert code == 1
    assert any(str(path) in found["text"] or str(path.parent) + ":" in found["text"] for found in problems), problems
    assert all(found["advice"] for found in problems)


@EVERY
def test_the_api_and_the_pages_answer_and_name_the_file(damaged, api):
    _, what, path, ids = damaged
    said = ""
    for address in ("sweeps", "sweeps/small", "sweeps/small/cells", "sweeps/small/comparison", "sweeps/small/table", *(f"cells/{cell_id}" for cell_id in ids)):
        answer = api.get(f"/api/v1/{address}")
        assert answer.status_code < 500, answer.text
        assert (answer.status_code == 200) == (what != "manifest" or address == "sweeps" or address.startswith("cells/")), (address, answer.text)
        said += answer.text
    pages = "".join(answer.text for page in ("/", "/sweeps/small", *(f"/cells/{cell_id}" for cell_id in ids)) if (answer := api.get(page)).status_code < 500)
    if what in SERVED:
        assert (str(path) in said, str(path) in pages) == (True, True)


def test_whole_files_are_healthy(results, capsys, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(doctor, "installed_versions", dict)
    monkeypatch.setattr(session_directory, "dead_session_directories", list)  # what others left on this machine
    assert cli.main(["doctor", "--out", str(results), "--json"]) == 0
    findings = {found["what"]: found["text"] for found in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["record"] == findings["adapter"] == findings["predictions"] == "none is damaged, of 2"
    assert set(_paths(results)) == set(FILES)
