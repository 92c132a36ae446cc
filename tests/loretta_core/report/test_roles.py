"""What a cell is for, in words: its place among the trials or the seeds of a contender."""

from dataclasses import replace

from loretta_core.report.labels import contender_names
from loretta_core.report.roles import cell_roles
from loretta_core.store.manifest import manifest_of
from tests.which import SWEEP


def roles_of(sweep):
    return cell_roles(manifest_of(sweep, names=contender_names([contender.cell for contender in sweep.contenders])))


def replicated(sweep, *, seeds):
    first, *others = sweep.contenders
    return sweep.with_contenders([replace(first, winner=first.cell.cell_id, seeds=seeds), *others])


def test_trials_say_their_place_and_their_setting(load_which):
    sweep = load_which()
    trials = [roles_of(sweep)[trial.cell_id] for trial in sweep.contenders[0].trials]
    assert trials[0] == "trial 1 of 3 of lora · adam (trainer.lr = 0.0005)"
    assert trials[2].startswith("trial 3 of 3 of lora · adam (trainer.lr = ")


def test_seeds_say_their_place_and_in_a_race_their_most(load_which):
    sweep = replicated(load_which(), seeds=3)
    assert [roles_of(sweep)[cell.cell_id] for cell in sweep.contenders[0].replicates] == [f"seed {index} of 3 of lora · adam" for index in (1, 2, 3)]
    race = replicated(load_which("replicate.seeds={race=[3, 10]}"), seeds=4)
    assert roles_of(race)[race.contenders[0].replicates[3].cell_id] == "seed 4 of at most 10 of lora · adam"


def test_a_sweep_without_the_protocol_has_no_roles(load_which):
    assert roles_of(load_which(text=SWEEP[: SWEEP.index("[tune]")])) == {}
