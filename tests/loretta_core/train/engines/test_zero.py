"""DeepSpeed ZeRO on two real workers (CPU, gloo): the run of one worker, checkpoints that cannot be mixed up, one model at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from loretta_core.config import cell_from_overrides
from loretta_core.train import checkpoint
from loretta_core.train.engines.zero_shards import MANIFEST, digests, newest_valid
from loretta_core.train.run import run_cell
from tests.loretta_core.train.group import run_workers
from tests.loretta_core.train.test_workers import Killed, KillSink

BASE = ["model=toy-llama", "task=toy_entailment", "task.train_rows=160", "task.validation_rows=32", "task.test_rows=32"]
BASE += ["trainer=adam", "trainer.steps=20", "trainer.eval_every=10", "trainer.lr=3e-4", "batch_size=8"]


@pytest.fixture(scope="module")
def base() -> list[str]:
    return BASE


def zero(stage: int, *more: str, workers: int = 2) -> list[str]:
    return ["engine.type=zero", f"engine.stage={stage}", f"engine.workers={workers}", *more]


RUNS = {
    "ddp": ["method=ft", "engine.type=ddp"],
    **{f"zero-{stage}": ["method=ft", *zero(stage)] for stage in (1, 2, 3)},
    "pieces": ["method=ft", *zero(2, "engine.gradient_accumulation=2")],
    "lora zero-3": ["method=lora", *zero(3)],
    "bf16": ["method=ft", "precision=bf16", *zero(2)],
    "mixed": ["method=ft", "precision=mixed", *zero(3)],
}
CLOSE = {"bf16": 5e-2, "mixed": 2e-2}
"""bf16 has 8 bits: curves drift apart by rounding alone."""


def run_all(rank: int, base: list[str], root: Path) -> dict:
    return {name: run_cell(cell_from_overrides([*base, *settings]), directory=root / name) for name, settings in RUNS.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("zero")


@pytest.fixture(scope="module")
def runs(base, root) -> list[dict]:
    return run_workers(run_all, 2, base, root, timeout_s=900)


def alone(base: list[str], name: str, directory: Path):
    own = [text for text in RUNS[name] if text.startswith(("method", "precision"))]
    return run_cell(cell_from_overrides([*base, *own]), directory=directory)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_workers_give_the_curve_of_one(name, base, runs, tmp_path):
    one, (two, other) = alone(base, name, tmp_path), (part[name] for part in runs)
    assert two.cell_id == one.cell_id
    assert two.cost.trainable_params == one.cost.trainable_params
    assert two.curves == other.curves
    assert [value for _, value in two.curves["train_loss"]] == pytest.approx([value for _, value in one.curves["train_loss"]], abs=CLOSE.get(name, 1e-4))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp", "zero-1", "zero-2", "zero-3"])
def test_the_end_is_one_model_for_from_pretrained(name, base, root, runs, tmp_path):
    from transformers import AutoModelForCausalLM

    alone(base, name, tmp_path)
    expected, found = (AutoModelForCausalLM.from_pretrained(where / "adapter").state_dict() for where in (tmp_path, root / name))
    assert expected.keys() == found.keys()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=2e-3)
    assert not (root / name / "shards").exists()


def killed_at_15(rank: int, base: list[str], settings: list[str], directory: Path) -> None:
    checkpoint.MIN_INTERVAL_S = 0.0
    with pytest.raises(Killed):
        run_cell(cell_from_overrides([*base, *settings]), directory=directory, sinks=[KillSink(15)])


def resumed(rank: int, base: list[str], settings: list[str], directory: Path):
    return run_cell(cell_from_overrides([*base, *settings]), directory=directory)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3])
def test_a_killed_run_goes_on_with_as_many_workers_and_with_fewer(stage, base, runs, tmp_path):
    run_workers(killed_at_15, 2, base, ["method=ft", *zero(stage)], tmp_path / "a", timeout_s=600)
    (step,) = (tmp_path / "a" / "shards").iterdir()
    manifest = json.loads((step / MANIFEST).read_text())
    assert (manifest["world"], manifest["stage"], manifest["precision"], manifest["progress"]["step"]) == (2, stage, "fp32", 10)
    assert manifest["files"] == digests(step)
    import shutil

    shutil.copytree(tmp_path / "a", tmp_path / "b")
    whole = [value for _, value in runs[0][f"zero-{stage}"].curves["train_loss"]]
    for directory, workers in (("a", 2), ("b", 1)):
        again = run_workers(resumed, workers, base, ["method=ft", *zero(stage, workers=workers)], tmp_path / directory, timeout_s=600)[0]
        assert [value for _, value in again.curves["train_loss"]] == pytest.approx(whole, abs=1e-6 if workers == 2 else 1e-4)


def stopped_at_13(rank: int, base: list[str], settings: list[str], directory: Path) -> None:
    with pytest.raises(Killed):
        run_cell(cell_from_overrides([*base, *settings]), directory=directory, stop=lambda step: Killed() if step == 13 else None)


@pytest.mark.slow
def test_a_stopped_run_saves_at_once(base, runs, tmp_path):
    run_workers(stopped_at_13, 2, base, ["method=ft", *zero(2)], tmp_path, timeout_s=600)
    (step,) = (tmp_path / "shards").iterdir()
    assert json.loads((step / MANIFEST).read_text())["progress"]["step"] == 13
    again = run_workers(resumed, 2, base, ["method=ft", *zero(2)], tmp_path, timeout_s=600)[0]
    whole = [value for _, value in runs[0]["zero-2"].curves["train_loss"]]
    assert [value for _, value in again.curves["train_loss"]] == pytest.approx(whole, abs=1e-6)


def manifest_of(directory: Path, **changes) -> Path:
    directory.mkdir(parents=True)
    (directory / "piece").write_text("weights")
    about = {"identity": "cell", "stage": 2, "precision": "fp32"}
    manifest = {**about, "world": 2, "progress": {"step": 10}, "files": digests(directory), **changes}
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return directory


ABOUT = {"identity": "cell", "stage": 2, "precision": "fp32"}


def test_the_newest_whole_checkpoint_is_found(tmp_path):
    manifest_of(tmp_path / "step-10")
    later = manifest_of(tmp_path / "step-20", progress={"step": 20})
    (tmp_path / "step-30").mkdir()  # killed before its manifest
    assert newest_valid(tmp_path, about=ABOUT).directory == later
    assert newest_valid(tmp_path / "nothing", about=ABOUT) is None


@pytest.mark.parametrize("change", [{"stage": 3}, {"precision": "bf16"}, {"identity": "other"}])
def test_a_checkpoint_of_another_run_is_passed_over(change, tmp_path, caplog):
    manifest_of(tmp_path / "step-10", **change)
    assert newest_valid(tmp_path, about=ABOUT) is None
    assert f"has another {next(iter(change))}" in caplog.text


@pytest.mark.parametrize("damage", ["truncated", "gone", "stale", "manifest"])
def test_files_that_are_not_those_of_the_manifest_are_not_loaded(damage, tmp_path, caplog):
    step = manifest_of(tmp_path / "step-10")
    match damage:
        case "truncated":
            (step / "piece").write_text("wei")
        case "gone":
            (step / "piece").unlink()
        case "stale":
            (step / "piece-of-an-older-save").write_text("weights")
        case "manifest":
            (step / MANIFEST).write_text('{"identity"')
    assert newest_valid(tmp_path, about=ABOUT) is None
    assert "passed over" in caplog.text
