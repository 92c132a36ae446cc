"""Contenders from a manifest, or from cells that differ in their seed alone."""

import pytest

from loretta_core.config.sweep.protocol import Decide
from loretta_core.report.rows import build_rows
from loretta_core.report.tables import comparison_table, without_score
from loretta_core.report.verdict.contenders import build_contenders
from loretta_core.report.verdict.findings import find
from loretta_core.store.manifest import Contender, Manifest, RaceSeeds
from loretta_core.store.record_files import read_record, write_record
from tests.loretta_core.report.synthetic import bits, failed_record, findings_of, make_cell, make_record, write_replicates


def tuned():
    """(manifest, records): two contenders with four trials and three replicates each; a trial of lora failed."""
    cells, records, contenders = [], {}, []
    for method, scores in {"lora": (0.7, 0.9, None, 0.8), "ft": (0.85, 0.6, 0.86, 0.5)}.items():
        trials = [make_cell(method, "adam", f"trainer.lr={lr}", "score_test=false") for lr in (1e-4, 1e-3, 1e-2, 1e-1)]
        winner = trials[1] if method == "lora" else trials[2]
        replicates = [make_cell(method, "adam", f"trainer.lr={winner.trainer.lr}", f"seed={seed}") for seed in (1000, 1001, 1002)]
        for trial, score in zip(trials, scores, strict=True):
            made = make_record(trial, score={"value": None, "low": None, "high": None, "rows": None, "validation": score}, cost={"train_s": 2.0})
            records[trial.cell_id] = failed_record(trial) if score is None else made
        for seed, cell in enumerate(replicates):
            records[cell.cell_id] = make_record(cell, correct=(900 if method == "ft" else 700) + seed, cost={"train_s": 6.0 + seed})
        cells += [*trials, *replicates]
        ids = {"trials": tuple(cell.cell_id for cell in trials), "replicates": tuple(cell.cell_id for cell in replicates)}
        contenders.append(Contender(name=f"{method} · adam", winner=winner.cell_id, **ids))
    resolved = {cell.cell_id: cell for cell in cells}
    return Manifest(name="which", cells=tuple(resolved), resolved=resolved, contenders=tuple(contenders), decide=Decide(within=0.5)), records


def test_a_manifest_names_trials_and_replicates():
    manifest, records = tuned()
    found = {each.name: each for each in build_contenders(manifest, build_rows(manifest, records=records))}
    assert found.keys() == {"lora · adam", "ft · adam"}
    lora = found["lora · adam"]
    assert (lora.setting, lora.method, lora.trainer, lora.spoken) == ("trainer.lr = 0.001", "lora", "adam", "lora with adam")
    assert lora.scores == {1000: 0.7, 1001: 0.701, 1002: 0.702}
    assert lora.validation == 0.9
    assert lora.trial_scores == [0.7, 0.9, 0.8]
    assert (lora.tuning_s, lora.train_s) == (6.0, 7.0)


def test_a_verdict_on_tuned_contenders_tells_setting_failures_and_tuning():
    manifest, records = tuned()
    found = find(manifest, build_rows(manifest, records=records), predictions={})
    first, *more = found.lines
    assert first.startswith("Use ft with adam (trainer.lr = 0.01) on toy_sentiment: accuracy 0.901 ± ")
    assert "  Failures: lora with adam: 1 of 4 trials failed (nan)." in more
    assert found.table.columns == (
        "model", "task", "contender", "chosen setting", "trainable parameters", "score", "seeds", "training time", "tuning time", "peak memory",
    )  # fmt: skip
    assert found.table.body[0][2:4] == ("ft · adam", "trainer.lr = 0.01")


def test_finished_trials_are_not_listed_as_missing():
    manifest, records = tuned()
    rows = build_rows(manifest, records=records)
    assert [line.split(":")[0] for line in without_score(rows)] == ["failed"]
    assert "not scored" in {line[-3] for line in comparison_table(rows).body}


def test_a_race_is_told():
    manifest, records = tuned()
    (lora, ft), race = manifest.contenders, RaceSeeds(looks=(3, 4), trained=7, full=8)
    raced = manifest.model_copy(update={"contenders": (lora.model_copy(update={"eliminated_at": 3, "notes": ("near-tie with r = 4",)}), ft), "race": race})
    lines = find(raced, build_rows(raced, records=records), predictions={}).lines
    assert lines[-1] == "Race: 7 of 8 seeds trained (compared after 3, 4 seeds); no further seeds for lora with adam after 3."
    assert "  Tuning: lora with adam: near-tie with r = 4." in lines


def test_trials_without_a_winner_wait():
    manifest, records = tuned()
    waiting = [contender.model_copy(update={"winner": None, "replicates": ()}) for contender in manifest.contenders]
    manifest = manifest.model_copy(update={"contenders": tuple(waiting)})
    found = find(manifest, build_rows(manifest, records=records), predictions={})
    assert found.lines[0] == "No verdict on toy_sentiment: no contender has a score on the test rows yet."
    assert any("winner not decided yet: " in line for line in found.lines)


def test_names_do_not_repeat_task_and_model():
    manifest, records = tuned()
    longer = [contender.model_copy(update={"name": f"toy-bert · toy_sentiment · {contender.name}"}) for contender in manifest.contenders]
    rows = build_rows(manifest, records=records)
    found = build_contenders(manifest.model_copy(update={"contenders": tuple(longer)}), rows)
    assert sorted(each.name for each in found) == ["ft · adam", "lora · adam"]


def test_seeds_are_replicates_and_other_settings_are_contenders(tmp_path):
    cells = [make_cell("lora", "adam", f"method.r={r}", f"seed={seed}") for r in (4, 16) for seed in range(3)]
    found = findings_of(write_replicates(tmp_path, cells, [bits(90), bits(91), bits(92), bits(40), bits(41), bits(42)]))
    assert [(each.name, sorted(each.scores)) for each in found.contenders] == [("lora r=4 · adam", [0, 1, 2]), ("lora r=16 · adam", [0, 1, 2])]
    assert any("the settings of lora with adam are contenders of their own here" in line for line in found.lines)


RATES = {1e-4: (0.80, 60), 1e-3: (0.95, 70), 1e-2: (0.90, 95)}
"""Learning rate → validation score, right rows of 100 on the test: the rate that is best on the test rows is not the one that validation chooses."""


def of_rates(out, *, seeds, rates):
    cells = [make_cell("lora", "adam", f"trainer.lr={lr}", f"seed={seed}") for lr in rates for seed in range(seeds)]
    write_replicates(out, cells, [bits(rates[cell.trainer.lr][1]) for cell in cells])
    for cell in cells:
        directory = out / "cells" / cell.cell_id
        record = read_record(directory)
        validated = record.score.model_copy(update={"validation": rates[cell.trainer.lr][0]})
        write_record(record.model_copy(update={"score": validated}), directory)
    return findings_of(out)


@pytest.mark.parametrize("seeds", [1, 3])
def test_an_axis_of_learning_rates_is_chosen_on_validation_rows(seeds, tmp_path):
    found = of_rates(tmp_path, seeds=seeds, rates=RATES)
    (lora,) = found.contenders
    assert (lora.name, lora.setting, set(lora.scores.values())) == ("lora · adam", "trainer.lr = 0.001", {0.7})
    assert lora.trial_scores == [0.80, 0.95, 0.90]
    assert any("of 3 learning rates, the best by" in line and "0.950, next 0.900" in line for line in found.lines)


def test_rates_without_validation_scores_are_contenders_of_their_own(tmp_path):
    found = of_rates(tmp_path, seeds=1, rates={1e-3: (None, 70), 1e-2: (None, 95)})
    assert {each.name for each in found.contenders} == {"lora · adam lr=0.001", "lora · adam lr=0.01"}
