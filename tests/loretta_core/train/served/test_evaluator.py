"""A served cell is the local one to rounding, replays without the server, leaves nothing behind, and says in one line that the server is away."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from loretta_core.config import cell_from_overrides
from loretta_core.config.checkpoints.local_files import find_checkpoint
from loretta_core.errors import CellFailed, ConfigError, ModelError
from loretta_core.tasks.base import Choice
from loretta_core.train.build import build_run
from loretta_core.train.replay_step import restore_step
from loretta_core.train.run import run_cell
from loretta_core.train.served.evaluator import mean_learned
from tests.loretta_core.train.served.servers import LoraServer, serving

SMALL = ["model=toy-llama", "task.train_rows=8", "task.validation_rows=4", "task.test_rows=4", "batch_size=4", "trainer=zo_sgd", "trainer.zo_eps=1e-2"]
REP = ["method=loretta_rep", "method.train_norms=false"]
SENTIMENT = ["task=toy_sentiment", "task.objective=causal"]


@pytest.fixture
def server():
    return LoraServer(AutoModelForCausalLM.from_pretrained(find_checkpoint(cell_from_overrides([*SMALL, "task=toy_qa", "method=lora"]).model)))


def served(url, directory, *settings):
    return cell_from_overrides([*SMALL, *settings, "engine=served", f"engine.url={url}", f"engine.adapters={directory}", "engine.retries=0"])


@pytest.mark.integration
@pytest.mark.parametrize("settings", [("task=toy_qa", "method=lora"), (*SENTIMENT, *REP), ("task=toy_instruct", "method=lora")])
def test_a_served_step_is_the_local_one(settings, server, tmp_path):
    local = build_run(cell_from_overrides([*SMALL, *settings, "trainer.lr=1e-2"]))
    with serving(server) as url:
        remote = build_run(served(url, tmp_path, *settings, "trainer.lr=1e-2"))
        for _ in range(2):
            losses = [run.engine.step(next(run.batches(run.engine.state.optimizer.steps_taken))) for run in (local, remote)]
            assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    thetas = [run.engine.state.optimizer.theta for run in (local, remote)]
    torch.testing.assert_close(*thetas, rtol=0.0, atol=1e-4)
    assert (len(server.served), server.adapters, list(tmp_path.iterdir())) == (4, [], [])


def test_every_turn_that_is_learned_counts():
    choice = Choice([7, 1, 2, 7, 3, 4], scored=2, learned=(1, 2, 4, 5))
    found = [-1.0, -2.0, -30.0, -4.0, -5.0]  # of every token but the first
    assert mean_learned(found, choice) == -3.0
    assert mean_learned(found, Choice(choice.tokens, scored=2)) == -4.5


@pytest.mark.integration
def test_a_served_cell_replays_without_its_server(server, tmp_path):
    (tmp_path / "adapters").mkdir()
    with serving(server) as url:
        cell = served(url, tmp_path / "adapters", "task=toy_qa", "method=lora", "trainer.steps=2", "engine.gradient_accumulation=2")
        record = run_cell(cell, directory=tmp_path / "cell")
    assert record.status == "finished"
    assert restore_step(tmp_path / "cell", step=record.score.best_step, to=tmp_path / "replayed")[1] == record.digests.weights


@pytest.mark.integration
def test_a_server_that_goes_away_leaves_theta_and_no_files(server, tmp_path):
    with serving(server) as url:
        run = build_run(served(url, tmp_path, "task=toy_qa", "method=lora"))
    before = run.weights_sha256
    with pytest.raises(CellFailed, match="did not answer load_lora_adapter"):
        run.engine.step(next(run.batches(0)))
    assert (run.weights_sha256, list(tmp_path.iterdir())) == (before, [])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["task=toy_qa", "method=loretta_adp"], "what loretta_adp trains is none"),
        (["task=toy_qa", "method=loretta_rep"], "trained norms are no part of one"),
        (["task=toy_qa", "method=lora", "method.use_dora=true"], "DoRA's lengths"),
        (["task=toy_qa", "method=lora", 'trainer={type="adam"}'], "adam takes no such steps"),
        (["task=toy_qa", "method=lora", "trainer.batched=true"], "the server batches"),
        (["task=toy_qa", "method=lora", "trainer.learns_from=reward"], 'set learns_from = "loss"'),
        (["task=toy_sentiment", "model=toy-bert", "method=lora"], "as log-probabilities of answers"),
    ],
)
def test_what_is_no_lora_is_refused_by_name(settings, told):
    with pytest.raises(ConfigError, match=told):
        cell_from_overrides([*SMALL, *settings, "engine=served"])


def test_a_token_that_is_not_set_and_a_directory_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    with pytest.raises(ModelError, match="there is no such environment variable"):
        build_run(cell_from_overrides([*SMALL, "task=toy_qa", "method=lora", "engine=served", "engine.token_env=NO_SUCH_TOKEN"]))
    with pytest.raises(ModelError, match="is no directory"):
        build_run(served("http://127.0.0.1:1", tmp_path / "no", "task=toy_qa", "method=lora"))
