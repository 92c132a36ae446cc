"""What a running zeroth-order cell notes of its start is said at once, once for a prompt; first-order cells and old journals say nothing."""

import json

from jobs.orchestration import start_watch
from jobs.orchestration.start_watch import watch_starts
from jobs.orchestration.watchers import run_watchers
from loretta_core.config import cell_from_overrides
from loretta_core.store.layout import cell_directory
from loretta_core.train.sinks import JOURNAL_NAME, UNALIGNED


def cell(*more):
    return cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=lora", "trainer=zo_sgd", *more])


def write(out, one, *lines):
    directory = cell_directory(out, one.cell_id)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / JOURNAL_NAME).open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


SCORED = {"step": 0, "validation_score": 0.5}


def test_an_unaligned_prompt_is_said_once_and_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(start_watch, "START_POLL_S", 0.01)
    cells, said = [cell(f"seed={seed}") for seed in range(3)], []
    write(tmp_path, cells[0], {"step": 0, UNALIGNED: 1.0}, SCORED)  # of an earlier attempt, which is over
    with run_watchers(watch_starts([*cells, cell("trainer=adam")], out=tmp_path, say=said.append)):
        for one in cells[1:]:
            write(tmp_path, one, {"step": 0, UNALIGNED: 1.0}, SCORED)
    (line,) = said
    assert line.startswith("caution: toy-bert · toy_sentiment: before training, the prompt answers no better")


def test_a_start_that_is_fine_says_nothing(tmp_path):
    said = []
    with run_watchers(watch_starts([cell()], out=tmp_path, say=said.append)):
        write(tmp_path, cell(), SCORED, {"step": 1, "train_loss": 0.7})
    assert not said
