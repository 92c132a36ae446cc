"""The protocol in words."""

from dataclasses import replace

from jobs.console.protocol_lines import contender_lines, protocol_lines
from tests.which import SWEEP


def test_trials_and_replicates_are_announced(load_which):
    tune, replicate = protocol_lines(load_which("replicate.seeds={race=[3, 10]}"))
    assert tune == "tune: 3 contenders, 3 trials each; validation rows choose the winners, test rows are not read"
    assert replicate == "replicate: the winner of each contender with 3 to 10 seeds in a race, from 1000 on; only these are scored on the test rows"


def test_a_sweep_without_the_protocol_has_no_lines(load_which):
    assert [*protocol_lines(load_which(text=SWEEP[: SWEEP.index("[tune]")]))] == []


def test_contenders_say_what_they_are_sampled_from_and_who_won(load_which):
    sweep = load_which()
    assert next(contender_lines(sweep)) == "contender lora · adam: 3 trials from trainer.lr 1e-05 to 0.01 (its default ranges); replicates follow"
    won = sweep.with_contenders([replace(sweep.contenders[0], winner=sweep.contenders[0].cell.cell_id, seeds=3, notes=("a note",)), *sweep.contenders[1:]])
    first, note, *_ = contender_lines(won)
    assert first == f"contender lora · adam: 3 trials, the winner is {won.contenders[0].winner}, 3 replicates so far"
    assert note == "  a note"
