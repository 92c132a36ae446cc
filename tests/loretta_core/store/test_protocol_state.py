"""What a sweep takes from manifests: its own, and that of another sweep."""

from dataclasses import replace

import pytest

from loretta_core.errors import ConfigError, OutputError
from loretta_core.store.manifest import MANIFEST_NAME, read_manifest, sweep_directory, write_manifest
from loretta_core.store.protocol_state import restore_protocol
from tests.which import SWEEP


def tuned(sweep, out, *, trial=1):
    won = sweep.with_contenders(replace(contender, winner=contender.trials[trial].cell_id, seeds=3, notes=("a note",)) for contender in sweep.contenders)
    write_manifest(out, sweep=won)
    return won


def test_without_a_manifest_nothing_is_known(load_which, tmp_path):
    sweep = load_which()
    assert restore_protocol(sweep, tmp_path) == sweep


def test_winners_replicates_and_notes_come_back(load_which, tmp_path):
    before = tuned(load_which(), tmp_path)
    after = restore_protocol(load_which(), tmp_path)
    assert after.contenders == before.contenders
    assert after.cells == before.cells
    assert read_manifest(tmp_path, name="which").contenders[0].trials_wanted == 3


def test_a_damaged_manifest_costs_only_the_choice(load_which, tmp_path):
    tuned(load_which(), tmp_path)
    (sweep_directory(tmp_path, name="which") / MANIFEST_NAME).write_text("damaged")
    assert [contender.winner for contender in restore_protocol(load_which(), tmp_path).contenders] == [None] * 3


def test_a_number_of_trials_that_a_budget_was_turned_into_stays(load_which, tmp_path):
    sweep = load_which("tune={budget={hours=1}}")
    write_manifest(tmp_path, sweep=sweep.with_contenders(replace(contender, count=5) for contender in sweep.contenders))
    assert [contender.count for contender in restore_protocol(sweep, tmp_path).contenders] == [5, 5, 5]


def test_a_race_goes_on_where_it_was(load_which, tmp_path):
    sweep = load_which("replicate.seeds={race=[3, 8]}")
    won = [replace(contender, winner=contender.trials[0].cell_id, seeds=5) for contender in sweep.contenders]
    write_manifest(tmp_path, sweep=sweep.with_contenders([*won[:2], replace(won[2], seeds=4, eliminated_at=4)]))
    assert [(each.seeds, each.eliminated_at) for each in restore_protocol(sweep, tmp_path).contenders] == [(5, None), (5, None), (4, 4)]
    assert [each.seeds for each in restore_protocol(load_which(), tmp_path).contenders] == [3, 3, 3]


def test_winners_of_another_sweep_are_tried_first(load_which, tmp_path):
    won = tuned(load_which(), tmp_path)
    other = load_which("name=large", "model=toy-llama", "task=toy_qa", f"tune.from={sweep_directory(tmp_path, name='which')}", "trainer.steps=7")
    after = restore_protocol(other, tmp_path)
    for before, contender in zip(won.contenders, after.contenders, strict=True):
        assert contender.trials[0] == contender.cell
        assert contender.trials[1].trainer.lr == before.trials[1].trainer.lr
        assert contender.trials[1].trainer.steps == 7
        assert len(contender.trials) == 3
        assert contender.notes == ("tried first: what won in which (toy-bert, toy_sentiment)",)


def test_a_winner_that_is_the_first_trial_already_is_not_tried_twice(load_which, tmp_path):
    tuned(load_which(), tmp_path, trial=0)
    after = restore_protocol(load_which("name=large", f"tune.from={sweep_directory(tmp_path, name='which')}"), tmp_path)
    assert after.contenders[0].first == ()
    assert "the first trial has the settings that won in which" in after.contenders[0].notes[0]


def test_a_sweep_that_shares_no_contender_is_refused(load_which, tmp_path):
    tuned(load_which(), tmp_path)
    text = SWEEP.replace('["lora", "ft"]', '["bitfit"]')
    with pytest.raises(ConfigError, match="none of its 3 winners has the method and the trainer of a contender"):
        restore_protocol(load_which("name=large", f"tune.from={sweep_directory(tmp_path, name='which')}", text=text), tmp_path)
    with pytest.raises(OutputError, match="no sweep 'nothing'"):
        restore_protocol(load_which(f"tune.from={tmp_path}/sweeps/nothing"), tmp_path)
