"""Races: who gets another seed."""

from dataclasses import replace

import pytest

from jobs.scheduling.protocol.race import clearly_worse, next_look
from loretta_core.config import load_sweep
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import read_record
from tests.jobs.synthetic import run_tuned_cell
from tests.which import SWEEP


@pytest.fixture
def race(tmp_path, out):
    file = tmp_path / "which.toml"
    file.write_text(SWEEP.replace("[tune]\ntrials = 3\n", "").replace("seeds = 3", "seeds = { race = [3, 6] }"))
    return load_sweep(file)


def computed(contenders, out):
    cells = [cell for contender in contenders for cell in contender.replicates]
    for cell in cells:
        run_tuned_cell(cell, directory=cell_directory(out, cell.cell_id))
    return {cell.cell_id: read_record(cell_directory(out, cell.cell_id)) for cell in cells}


def test_who_is_clearly_worse_is_out_and_the_others_get_one_more_seed(race, out):
    after = next_look(race.contenders, computed(race.contenders, out), out=out, replicate=race.replicate)
    assert [(contender.seeds, contender.eliminated_at) for contender in after] == [(4, None), (4, None), (3, 3)]
    assert "clearly worse than another contender after 3 seeds" in after[2].notes[0]


def test_the_eliminated_stay_out_and_the_race_ends_at_its_most_seeds(race, out):
    contenders, rounds = race.contenders, 0
    while (after := next_look(contenders, computed(contenders, out), out=out, replicate=race.replicate)) != contenders:
        contenders, rounds = after, rounds + 1
    assert rounds == 3
    assert [contender.seeds for contender in contenders] == [6, 6, 3]


def test_the_last_one_left_gets_no_further_seed(race, out):
    contenders = race.contenders[1:]
    after = next_look(contenders, computed(contenders, out), out=out, replicate=race.replicate)
    assert [(contender.seeds, contender.eliminated_at) for contender in after] == [(3, None), (3, 3)]


def test_contenders_of_different_tasks_do_not_race_with_each_other(race, out):
    lora, ft = race.contenders[0], race.contenders[2]
    other = lora.cell.model_copy(update={"task": lora.cell.task.model_copy(update={"train_rows": 77})})
    after = next_look((replace(lora, cell=other), ft), computed((lora, ft), out), out=out, replicate=race.replicate)
    assert [contender.eliminated_at for contender in after] == [None, None]


def test_a_late_contender_catches_up_alone(race, out):
    late, *others = race.contenders
    contenders = (late, *(replace(contender, seeds=5) for contender in others[:1]), replace(others[1], eliminated_at=3))
    after = next_look(contenders, computed(contenders, out), out=out, replicate=race.replicate)
    assert [contender.seeds for contender in after] == [4, 5, 3]


def test_without_comparable_predictions_nobody_is_out(race, out):
    records = computed(race.contenders, out)
    assert clearly_worse(race.contenders, {}, out=out, level=0.05) == set()
    bare = {cell_id: record.model_copy(update={"digests": type(record.digests)()}) for cell_id, record in records.items()}
    assert clearly_worse(race.contenders, bare, out=out, level=0.05) == set()
    assert clearly_worse(race.contenders, records, out=out, level=0.01) == {2}
