"""A step that could not tell its rewards apart is said once for a model and task, whenever it comes; cells without rewards are not read."""

import json

from jobs.orchestration import reward_watch
from jobs.orchestration.reward_watch import watch_rewards
from jobs.orchestration.watchers import run_watchers
from loretta_core.config import cell_from_overrides
from loretta_core.store.layout import cell_directory
from loretta_core.train.sinks import EQUAL_REWARDS, JOURNAL_NAME


def cell(*more):
    return cell_from_overrides(["model=toy-llama", "task=toy_qa", "method=lora", "trainer=es", "trainer.learns_from=reward", *more])


def write(out, one, *lines):
    directory = cell_directory(out, one.cell_id)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / JOURNAL_NAME).open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_equal_rewards_are_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr(reward_watch, "START_POLL_S", 0.01)
    cells, said = [cell(f"seed={seed}") for seed in range(3)], []
    write(tmp_path, cells[0], {"step": 2, EQUAL_REWARDS: 1.0})  # of an earlier attempt, which is over
    with run_watchers(watch_rewards([*cells, cell("trainer.learns_from=loss")], out=tmp_path, say=said.append)):
        for one in cells[1:]:
            write(tmp_path, one, {"step": 6, "train_loss": 0.5}, {"step": 7, "train_loss": 0.5, EQUAL_REWARDS: 1.0})
    (line,) = said
    assert line.startswith("caution: toy-llama · toy_qa: all rewards of step 7 were equal")


def test_rewards_that_differ_say_nothing(tmp_path):
    said = []
    with run_watchers(watch_rewards([cell()], out=tmp_path, say=said.append)):
        write(tmp_path, cell(), {"step": 1, "train_loss": 0.5})
    assert not said
