"""The stages of a protocol: what comes next is a function of the records, whoever asks and however often."""

from importlib.util import find_spec

import pytest

from jobs.orchestration.search_rounds import SearchRounds
from jobs.scheduling.protocol.stages import next_stage, settled_failures
from jobs.storage.ledger import unfinished
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.layout import cell_directory
from loretta_core.store.manifest import read_manifest
from loretta_core.store.protocol_state import restore_protocol
from loretta_core.store.record_files import write_record
from tests.jobs.synthetic import run_tuned_cell, tuned_record
from tests.loretta_core.report.synthetic import failed_record
from tests.which import SWEEP

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason='needs Optuna: pip install "loretta-on-ray[search]"')
OPTUNA = ("tune.algorithm=optuna", "tune.trials=7", "tune.startup=2", "tune.per_round=2")
RACE = ("replicate.seeds={race=[3, 5]}",)


def compute(out, cells):
    for cell in cells:
        run_tuned_cell(cell, directory=cell_directory(out, cell.cell_id))


def to_the_end(config, out):
    """The sweep as a driver that is never killed computes it."""
    rounds = SearchRounds(config, out=out)
    compute(out, rounds.config.cells)
    while cells := rounds.next_round():
        compute(out, cells)
    return rounds.config


def cell_ids(config):
    return sorted(cell.cell_id for cell in config.cells)


def test_trials_then_winners_then_replicates(load_which, out):
    rounds = SearchRounds(load_which(), out=out)
    trials = rounds.config.cells
    assert not rounds.next_round()  # no trial is computed yet
    compute(out, trials)
    replicates = rounds.next_round()
    assert len(replicates) == 9
    noted = read_manifest(out, name="which").contenders
    for contender in noted:  # before the first replicate runs
        best = min(contender.trials, key=lambda cell_id: abs(next(cell.trainer.lr for cell in trials if cell.cell_id == cell_id) - 1e-3))
        assert contender.winner == best
        assert len(contender.replicates) == 3
    assert [contender.name for contender in noted] == ["lora · adam", "lora · zo_sgd", "ft · adam"]
    assert not {cell.seed for cell in trials} & {cell.seed for cell in replicates}
    compute(out, replicates)
    assert not rounds.next_round()


@pytest.mark.parametrize("overrides", [(), RACE, pytest.param(OPTUNA, marks=needs_optuna), pytest.param((*OPTUNA, *RACE), marks=needs_optuna)])
def test_a_sweep_that_is_killed_after_every_cell_computes_what_it_would_have(load_which, tmp_path, out, overrides):
    expected = to_the_end(load_which(*overrides), tmp_path / "other")
    while True:
        config = restore_protocol(load_which(*overrides), out)
        rounds = SearchRounds(config, out=out)
        missing = unfinished(out, config.cells) or rounds.next_round()
        if not missing:
            break
        compute(out, missing[:1])
    assert cell_ids(config) == cell_ids(expected)
    noted, wanted = read_manifest(out, name="which"), read_manifest(tmp_path / "other", name="which")
    assert noted.contenders == wanted.contenders
    assert noted.race == wanted.race


def test_a_race_says_what_it_saved(load_which, out):
    config = to_the_end(load_which(*RACE), out)
    race = read_manifest(out, name="which").race
    assert [contender.seeds for contender in config.contenders] == [5, 5, 3]
    assert (race.looks, race.trained, race.full) == ((3, 4, 5), 13, 15)
    assert read_manifest(out, name="which").contenders[2].eliminated_at == 3


def test_a_winner_stays_although_a_record_changes(load_which, out):
    before = to_the_end(load_which(), out)
    loser = next(trial for trial in before.contenders[0].trials if trial.cell_id != before.contenders[0].winner)
    record = tuned_record(loser)
    write_record(record.model_copy(update={"score": record.score.model_copy(update={"validation": 1.0})}), cell_directory(out, loser.cell_id))
    assert [each.winner for each in restore_protocol(load_which(), out).contenders] == [each.winner for each in before.contenders]
    assert restore_protocol(load_which("tune.trials=4"), out).contenders[0].winner is None  # other trials, another choice


def test_a_contender_added_later_leaves_the_others_as_they_are(load_which, out):
    before = to_the_end(load_which(), out)
    config = restore_protocol(load_which(text=SWEEP.replace('["lora", "ft"]', '["lora", "bitfit", "ft"]')), out)
    new = [contender for contender in config.contenders if contender.cell.method.type == "bitfit"]
    assert {cell.cell_id for cell in unfinished(out, config.cells)} == {trial.cell_id for contender in new for trial in contender.trials}
    after = to_the_end(config, out)
    assert {each.winner for each in before.contenders} < {each.winner for each in after.contenders}
    assert {*cell_ids(before)} < {*cell_ids(after)}


def test_more_seeds_keep_those_that_were_there(load_which, out):
    before = to_the_end(load_which(), out)
    assert {*cell_ids(before)} < {*cell_ids(restore_protocol(load_which("replicate.seeds=5"), out))}


def test_failed_and_stopped_trials_are_over_and_do_not_win(load_which, out):
    config = load_which()
    first, *rest = config.contenders
    compute(out, [trial for contender in rest for trial in contender.trials])
    write_record(failed_record(first.trials[0]), cell_directory(out, first.trials[0].cell_id))
    write_early_stop(EarlyStop(cell_id=first.trials[1].cell_id, reason="others did better", points=((0.5, 0.99),), stopped_at="now"), out, name="which")
    assert next_stage(config, out=out) is None
    compute(out, first.trials[2:])
    after = next_stage(config, out=out)
    assert after.contenders[0].winner == first.trials[2].cell_id
    assert settled_failures(after, [first.trials[0].cell_id]) == {first.trials[0].cell_id}
    assert settled_failures(config, [first.trials[0].cell_id]) == set()


def test_a_contender_whose_trials_all_fail_has_no_replicates_and_the_others_go_on(load_which, out):
    config = load_which()
    first, *rest = config.contenders
    compute(out, [trial for contender in rest for trial in contender.trials])
    for trial in first.trials:
        write_record(failed_record(trial), cell_directory(out, trial.cell_id))
    after = next_stage(config, out=out)
    assert [len(contender.replicates) for contender in after.contenders] == [0, 3, 3]
    assert after.contenders[0].notes == ("no winner: none of 3 trials finished",)


def test_test_scores_choose_no_winner(load_which, tmp_path, out):
    config = load_which()
    for directory, score in ((out, 0.1), (tmp_path / "other", 0.9)):
        for index, cell in enumerate(config.cells):
            write_record(tuned_record(cell, score=score if index % 2 else 1 - score), cell_directory(directory, cell.cell_id))
    chosen = [[contender.winner for contender in next_stage(config, out=directory).contenders] for directory in (out, tmp_path / "other")]
    assert chosen[0] == chosen[1]


@needs_optuna
def test_optuna_suggests_the_later_trials_of_every_contender(load_which, out):
    config = to_the_end(load_which(*OPTUNA), out)
    assert [len(contender.trials) for contender in config.contenders] == [7, 7, 7]
    assert all(not trial.score_test and trial.seed == 0 for contender in config.contenders for trial in contender.trials)
    assert config.contenders[0].trials[0] == config.contenders[0].cell
