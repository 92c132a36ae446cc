"""The part of a cell in its sweep: the name of its run, contender, role."""

from jobs.tracking.facts.sweep_facts import SweepFacts, parts, run_names
from loretta_core.config.sweep.load import resolve_sweep
from loretta_core.store.manifest import manifest_of, write_manifest

GRID = {"name": "s", "defaults": {"model": "toy-bert", "task": "toy_sentiment", "trainer": "adam"}, "axes": {"method": ["lora", "ft"], "seed": [0, 1]}}


def test_a_name_says_what_varies_and_nothing_else():
    assert run_names(list(resolve_sweep(GRID).cells))[:2] == ["lora · adam · seed 0", "lora · adam · seed 1"]
    wider = {**GRID, "axes": {"method": ["lora"], "trainer.lr": [1e-3, 1e-4], "batch_size": [8, 16]}}
    assert run_names(list(resolve_sweep(wider).cells))[0] == "lora · adam lr=0.001 · batch_size=8 · seed 0"


def test_trials_and_replicates_are_told_apart(out):
    sweep = resolve_sweep({**GRID, "axes": {"method": ["lora"]}, "tune": {"trials": 2}, "replicate": {"seeds": 2}})
    (contender,) = sweep.contenders
    first, second = contender.trials
    decided = sweep.with_contenders([contender.__class__(**{**vars_of(contender), "winner": second.cell_id, "seeds": 1})])
    known = parts(manifest_of(decided, names=["lora · adam"]))
    assert known[first.cell_id].tags == {"contender": "lora · adam", "role": "trial", "trial": "1", "chosen": "false"}
    assert known[second.cell_id].tags["chosen"] == "true"
    (replicate,) = decided.contenders[0].replicates
    assert known[replicate.cell_id].tags == {"contender": "lora · adam", "role": "replicate"}
    assert "chosen" not in parts(manifest_of(sweep, names=["lora · adam"]))[first.cell_id].tags  # nothing is chosen yet
    assert known[first.cell_id].digest != parts(manifest_of(sweep, names=["lora · adam"]))[first.cell_id].digest


def vars_of(contender):
    return {name: getattr(contender, name) for name in contender.__dataclass_fields__}


def test_the_manifest_is_read_again_when_it_has_changed(out):
    facts, sweep = SweepFacts(out, name="s"), resolve_sweep(GRID)
    assert facts.part(sweep.cells[0]).name == sweep.cells[0].label  # there is none yet
    write_manifest(out, sweep=sweep)
    assert facts.part(sweep.cells[0]).name == "lora · adam · seed 0"


def test_a_name_fits_the_column_of_a_database():
    far = {**GRID, "axes": {"model": [f"/{letter * 300}/base" for letter in "ab"], "method": ["lora"]}}  # the same last part: told apart by the whole name
    assert [len(name) for name in run_names(list(resolve_sweep(far).cells))] == [250, 250]
