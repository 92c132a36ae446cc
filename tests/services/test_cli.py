"""The command line: bad input gets one message and exit code 2 and touches nothing; what only reads answers at once and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import sweep as jobs_sweep
from loretta_core.errors import CellFailed, ConfigError, InfrastructureError, ResourceError
from services import cli
from tests.paths import ROOT
from tests.services.conftest import SWEEP, contents, finish

TASK = 'task = "toy_sentiment"'
METHODS = 'method = ["lora", {type = "loretta_adp", tensor_rank = 4}]'


def _model_without_weights(tmp_path: Path) -> tuple[str, str]:
    directory = tmp_path / "checkpoint"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    return 'model = "toy-bert"', f'model = "{directory}"'


def _jsonl(tmp_path: Path, *, train: str, validation: str) -> tuple[str, str]:
    for name, text in (("train", train), ("validation", validation)):
        (tmp_path / f"{name}.jsonl").write_text(text)
    return TASK, f'task = {{type = "jsonl", train = "{tmp_path}/train.jsonl", validation = "{tmp_path}/validation.jsonl"}}'


ROWS = '{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n'

BAD_SWEEPS = {
    "unknown method": (lambda tmp_path: ('"lora"', '"lorra"'), "axes.method[0].type = 'lorra': unknown. Did you mean 'lora'?"),
    "misspelt key": (lambda tmp_path: ("tensor_rank = 4", "tensor_rnk = 4"), "axes.method[1].tensor_rnk = 4: unknown key. Did you mean 'tensor_rank'?"),
    "rank 0": (lambda tmp_path: ("tensor_rank = 4", "tensor_rank = 0"), "axes.method[1].tensor_rank = 0: input should be greater than or equal to 1"),
    "expands to nothing": (lambda tmp_path: ("[axes]", '[[exclude]]\nmodel = "toy-bert"\n[axes]'), "the sweep expands to no cell: 2 excluded"),
    "missing model directory": (lambda tmp_path: ('"toy-bert"', f'"{tmp_path}/absent"'), "no such directory"),
    "model directory without weights": (_model_without_weights, "the directory has no weights (*.safetensors)"),
    "missing task file": (
        lambda tmp_path: (TASK, 'task = {type = "jsonl", train = "absent.jsonl", validation = "absent.jsonl"}'),
        "absent.jsonl: no such file",
    ),
    "missing column": (
        lambda tmp_path: _jsonl(tmp_path, train=ROWS, validation=ROWS.replace('"text"', '"sentence"')),
        "validation.jsonl:1: no column 'text'; columns there: sentence, label",
    ),
    "empty split": (lambda tmp_path: _jsonl(tmp_path, train=ROWS, validation="\n"), "validation.jsonl: the split is empty"),
}

COMMANDS = {
    "loretta sweep": lambda *arguments: cli.main(["sweep", *arguments]),
    "loretta sweep --dry-run": lambda *arguments: cli.main(["sweep", *arguments, "--dry-run"]),
    "python -m jobs.sweep": lambda *arguments: jobs_sweep.main(arguments),
}


@pytest.fixture
def refused(capsys, results, monkeypatch):
    """Return a function that runs a command which must be refused, and returns its one message."""

    def run(command: str, *arguments: str) -> str:
        before = contents(results)
        monkeypatch.setattr("jobs.orchestration.sweep_run.ray_session", lambda: pytest.fail("Ray was started"))
        assert COMMANDS[command](*arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("error: ") == 1
        assert "Traceback" not in error
        assert contents(results) == before
        return error

    return run


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", BAD_SWEEPS)
def test_a_bad_sweep_is_refused(case, command, tmp_path, sweep_file, results, refused):
    edit, expected = BAD_SWEEPS[case]
    old, new = edit(tmp_path)
    assert old in SWEEP
    sweep_file.write_text(SWEEP.replace(old, new))
    assert expected in refused(command, str(sweep_file), "--out", str(results))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_file_is_refused(command, tmp_path, results, refused):
    error = refused(command, str(tmp_path / "absent.toml"), "--out", str(results))
    assert f"{tmp_path}/absent.toml: no such file" in error
    assert "jobs/sweeps" in error


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("marker", ['{"format": 999}', "not JSON"])
def test_an_output_directory_of_another_version_is_refused(command, marker, sweep_file, results, refused):
    (results / "FORMAT.json").write_text(marker)
    assert "this version writes 1; give another one with --out" in refused(command, str(sweep_file), "--out", str(results))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_of_somebody_else_is_refused(command, tmp_path, sweep_file, results, refused):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    assert "not an output directory of ours" in refused(command, str(sweep_file), "--out", str(tmp_path / "home"))
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("command", ["loretta sweep", "python -m jobs.sweep"])
def test_a_refusal_of_the_inputs_leaves_no_output_directory_behind(command, tmp_path, sweep_file, refused):
    sweep_file.write_text(SWEEP.replace('"toy-bert"', f'"{tmp_path}/absent"'))
    refused(command, str(sweep_file), "--out", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_inputs_of_finished_cells_are_not_needed_any_more(tmp_path, sweep_file, results, capsys):
    old, new = _jsonl(tmp_path, train=ROWS, validation=ROWS)
    sweep_file.write_text(SWEEP.replace(old, new))
    finish(sweep_file, results)
    (tmp_path / "train.jsonl").unlink()
    assert cli.main(["sweep", str(sweep_file), "--out", str(results)]) == 0
    assert "2 of 2 cells finished, nothing to run" in capsys.readouterr().out


def test_the_same_cell_twice_runs_once_and_is_said(sweep_file, results, capsys):
    sweep_file.write_text(SWEEP.replace(METHODS, 'method = ["lora", {type = "lora", r = 8}]'))
    label = "toy-bert · toy_sentiment · lora · adam · seed 0"
    assert cli.main(["sweep", str(sweep_file), "--out", str(results), "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "1 cell: 1 finished, 0 to run" in planned
    assert f"duplicate, runs once: {label}" in planned
    assert cli.main(["sweep", str(sweep_file), "--out", str(results)]) == 0
    ran = capsys.readouterr().out
    assert "1 of 1 cell finished, nothing to run" in ran
    assert f"duplicate cell, runs once: {label}" in ran


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "method=lora"], "model: missing"),
        (["--set", "model"], "expected key=value"),
        (["--set", "model=/absent", "--set", "task=toy_sentiment", "--set", "method=lora", "--set", "trainer=adam"], "no such directory"),
    ],
)
def test_run_refuses_a_cell_that_cannot_be(arguments, expected, tmp_path, capsys):
    assert cli.main(["run", *arguments, "--out", str(tmp_path / "new")]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_json_without_dry_run_is_refused(sweep_file, results, refused):
    assert "--json goes with --dry-run" in refused("loretta sweep", str(sweep_file), "--json", "--out", str(results))


def test_the_plan_as_json_says_where_each_cell_stands(sweep_file, results, capsys):
    arguments = ["sweep", str(sweep_file), "--set", "seed=[0, 1]", "--out", str(results), "--dry-run", "--json"]
    sweep_file.write_text(SWEEP + "seed = [0]\n")
    before = contents(results)
    assert cli.main(arguments) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [(cell["cell"]["method"]["type"], cell["cell"]["seed"], cell["status"]) for cell in plan["cells"]] == [
        ("lora", 0, "finished"),
        ("lora", 1, "new"),
        ("loretta_adp", 0, "finished"),
        ("loretta_adp", 1, "new"),
    ]
    assert contents(results) == before


@pytest.mark.parametrize("extra", [["--dry-run"], ["--dry-run", "--json"], pytest.param([], marks=pytest.mark.slow)])
def test_what_computes_nothing_imports_neither_torch_nor_ray(extra, tmp_path, sweep_file, results):
    old, new = _jsonl(tmp_path, train=ROWS, validation=ROWS)
    sweep_file.write_text(SWEEP.replace(old, new))
    if not extra:  # every cell is finished, and MLflow has it: the sweep itself runs and sends nothing
        finish(sweep_file, results)
        subprocess.run([sys.executable, "-m", "services.cli", "sweep", str(sweep_file), "--out", str(results)], cwd=ROOT, check=True, timeout=120)
    command = [sys.executable, "-X", "importtime", "-m", "services.cli", "sweep", str(sweep_file), "--out", str(results), *extra]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "jobs.orchestration.preflight" in imported
    assert not imported & {"torch", "transformers", "ray", "mlflow"}


def test_a_refusal_is_one_line_in_a_real_terminal(tmp_path):
    command = [sys.executable, "-m", "services.cli", "sweep", str(tmp_path / "absent.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("wrong"), 2), (ResourceError("too large"), 2), (InfrastructureError("gone"), 3), (CellFailed("broke"), 1), (KeyboardInterrupt(), 130)],
)
def test_an_error_has_the_exit_code_that_help_documents(error, code, monkeypatch, capsys):
    def broken(*arguments, **named):
        raise error

    monkeypatch.setattr("services.commands.list.listing", broken)
    assert cli.main(["list", "methods"]) == code
    capsys.readouterr()
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert f"{code} " in capsys.readouterr().out
