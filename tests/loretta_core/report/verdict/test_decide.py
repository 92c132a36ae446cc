"""The verdict: every claim follows from the inference over seeds and rows, and one seed claims nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loretta_core.config.sweep.protocol import Decide
from loretta_core.report.inference.components import SeedScores, estimate
from loretta_core.report.inference.intervals import mean_interval
from loretta_core.report.inference.max_t import compare_all_pairs
from loretta_core.report.inference.power import needed_to_separate, smallest_difference
from loretta_core.report.inference.ranking import probability_best
from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.report.verdict.decide import Protocol, verdicts
from loretta_core.store.predictions import Predictions
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record

METHODS = ("ft", "lora", "loretta_adp")
COSTS = {"ft": 812_032, "lora": 16_384, "loretta_adp": 2_912}


def drawn(share, *, seeds=3, rows=400, generator):
    """(S, R): right with this probability, harder rows shared by nobody."""
    return (generator.random((seeds, rows)) < share).astype(int)


def contender(method, value_SR, *, predictions=None, name=None, first_seed=0, validation=0.9, **record):
    """A contender whose replicates got these rows right; adds to `predictions`."""
    rows = []
    for seed, value_R in enumerate(value_SR):
        cell = make_cell(method, "adam", f"seed={first_seed + seed}")
        correct, total = int(np.sum(value_R)), len(value_R)
        score = {"validation": validation, **record.get("score", {})}
        cost = {"trainable_params": COSTS[method], "train_s": 5.0, **record.get("cost", {})}
        made = make_record(cell, correct=correct, rows=total, score=score, cost=cost)
        rows.append(ResultRow(cell.cell_id, cell, {"model": "toy-bert", "task": "toy", "method": method, "trainer": "adam"}, made))
        if predictions is not None:
            right = "".join(map(str, np.asarray(value_R).tolist()))
            predictions[cell.cell_id] = Predictions(metric="accuracy", test_sha256="t", predictions=tuple(map(int, right)), right=right)
    return ContenderResult("toy", "toy-bert", method, "adam", name or f"{method} · adam", tuple(rows))


def verdict_on(contenders, predictions=(), **protocol):
    (found,) = verdicts(contenders, predictions=dict(predictions), protocol=Protocol(**protocol))
    return found


def three(shares=(0.95, 0.8, 0.79), *, seeds=3, rows=400):
    """(contenders, predictions, values) of three methods."""
    generator, predictions = np.random.default_rng(0), {}
    values = [drawn(share, seeds=seeds, rows=rows, generator=generator) for share in shares]
    return [contender(method, value_SR, predictions=predictions) for method, value_SR in zip(METHODS, values, strict=True)], predictions, values


def test_three_seeds_of_three_contenders_by_hand():
    contenders, predictions, values = three()
    found = verdict_on(contenders, predictions)
    by_mean = sorted(range(3), key=lambda index: -values[index].mean())
    components = estimate([SeedScores.from_rows(values[index]) for index in by_mean])
    pairs, share_K = compare_all_pairs(components), probability_best(components)
    assert [each.contender.method for each in found.standings] == [METHODS[index] for index in by_mean]
    for place, each in enumerate(found.standings):
        interval = mean_interval(components, place)
        assert (each.score.value, each.score.low, each.score.high) == pytest.approx((interval.value, interval.low, interval.high))
        assert each.probability_best == pytest.approx(share_K[place])
    for place in (1, 2):
        index, sign = pairs.index_of(place, 0)
        difference = found.standings[place].difference
        half = pairs.half_width()[index]
        expected = (sign * pairs.difference_P[index], sign * pairs.difference_P[index] - half, sign * pairs.difference_P[index] + half, pairs.adjusted[index])
        assert (difference.value, difference.low, difference.high, difference.p) == pytest.approx(expected)
    assert found.recommended.contender.method == "ft"
    assert found.is_best
    assert [each.contender.method for each in found.of_relation("worse")] == [METHODS[index] for index in by_mean[1:]]
    assert found.smallest_difference == pytest.approx(smallest_difference(pairs))
    needed = needed_to_separate(components, pairs, first=0, second=1)
    assert (found.needed.seeds, found.needed.rows) == (needed.seeds, needed.rows)


def test_a_lucky_seed_is_no_winner_and_nothing_is_called_best():
    """The highest single score is lora's; its mean is not."""
    lucky, steady = [[1] * right + [0] * (100 - right) for right in (95, 60, 60)], [[1] * 90 + [0] * 10] * 3
    predictions = {}
    found = verdict_on([contender("lora", lucky, predictions=predictions), contender("ft", steady, predictions=predictions)], predictions)
    assert found.recommended.contender.method == "ft"
    assert not found.is_best
    assert [each.contender.method for each in found.of_relation("not separated")] == ["lora"]


def test_of_equal_means_the_cheaper_comes_first():
    """.1 + .2 + .3 and .3 + .2 + .1 differ by rounding."""
    predictions = {}
    shares = {"ft": (10, 20, 30), "loretta_adp": (30, 20, 10), "lora": (30, 10, 20)}
    contenders = [contender(name, [[1] * right + [0] * (100 - right) for right in rights], predictions=predictions) for name, rights in shares.items()]
    for order in (contenders, contenders[::-1]):
        assert [each.contender.method for each in verdict_on(order, predictions).standings] == ["loretta_adp", "lora", "ft"]


def test_one_seed_claims_nothing():
    contenders = [contender("ft", [[1] * 90 + [0] * 10], validation=0.7), contender("lora", [[1] * 60 + [0] * 40], validation=0.8)]
    found = verdict_on(contenders)
    assert found.kind == "validation only"
    assert found.recommended is None
    assert not found.is_best
    assert "one seed" in found.why
    assert all(each.probability_best is None and each.difference is None for each in found.standings)


def test_one_contender_alone_is_no_comparison():
    found = verdict_on([contender("ft", [[1] * 90 + [0] * 10] * 3)])
    assert found.kind == "none"
    assert found.why == "one contender with 3 seeds"
    assert found.standings[0].score.low is not None


def test_a_contender_with_one_seed_is_named_and_not_compared():
    predictions = {}
    generator = np.random.default_rng(1)
    two = [contender(method, drawn(0.8, generator=generator), predictions=predictions) for method in ("ft", "lora")]
    one = contender("loretta_adp", drawn(0.99, seeds=1, generator=generator), predictions=predictions)
    found = verdict_on([*two, one], predictions)
    assert found.recommended.contender in two
    assert "one seed, so not compared: loretta_adp with adam" in found.unknown


def test_constraints_rule_out_the_highest():
    contenders, predictions, _ = three()
    found = verdict_on(contenders, predictions, decide=Decide(max_trainable_params=100_000))
    assert found.recommended.contender.method in ("lora", "loretta_adp")
    assert [each.contender.method for each in found.of_relation("better")] == ["ft"]
    assert found.of_relation("better")[0].ruled_out == ("trainable parameters 812,032 is above 100,000",)
    assert not found.is_best


def test_a_cost_that_is_not_known_breaks_its_constraint():
    contenders, predictions, _ = three()
    found = verdict_on(contenders, predictions, decide=Decide(max_usd=1))
    assert found.kind == "none"
    assert "breaks a constraint" in found.why
    assert found.standings[0].ruled_out == ("cost is not known and limited to 1.00 USD",)
    priced = verdict_on(contenders, predictions, decide=Decide(max_usd=1), usd_per_hour=2.0)
    assert priced.recommended.contender.method == "ft"


def test_the_cheapest_must_be_shown_to_be_within():
    contenders, predictions, _ = three((0.8, 0.8, 0.8))
    near = verdict_on(contenders, predictions, decide=Decide(within=0.2))
    assert {each.standing.contender.method for each in near.cheapest if each.cost == "trainable parameters"} == {"loretta_adp"}
    far = verdict_on(contenders, predictions, decide=Decide(within=0.0))
    assert [each.cost for each in far.cheapest] == ["trainable parameters", "training time", "peak memory"]
    assert all(each.standing.contender is far.recommended.contender for each in far.cheapest)


def test_failures_and_damage_are_named():
    contenders, predictions, _ = three()
    cells = [make_cell("lora", "adam", f"seed={seed}") for seed in (7, 8)]
    labels = contenders[1].replicates[0].labels
    damaged = ResultRow(cells[1].cell_id, cells[1], labels, None, damage="record.json: not a complete record")
    more = (ResultRow(cells[0].cell_id, cells[0], labels, failed_record(cells[0])), damaged)
    lora = ContenderResult("toy", "toy-bert", "lora", "adam", "lora · adam", (*contenders[1].replicates, *more))
    found = verdict_on([contenders[0], lora], predictions)
    assert found.failures == ("lora with adam: 1 of 5 seeds failed (nan)",)
    assert next(line for line in found.unknown if line.startswith("damaged: ")).endswith("not a complete record")
    assert found.standings[1].seeds == 3


def test_replicates_on_other_test_rows_do_not_count():
    contenders, predictions, _ = three()
    moved = contenders[1].replicates[0].cell_id
    predictions[moved] = predictions[moved].model_copy(update={"test_sha256": "u"})
    lost = contenders[2].replicates[0].cell_id
    del predictions[lost]
    found = verdict_on(contenders, predictions)
    assert {each.contender.method: each.seeds for each in found.standings} == {"ft": 3, "lora": 2, "loretta_adp": 2}
    assert "not counted: 1 seed scored on other test rows, or by another metric (lora with adam)" in found.unknown
    assert "not counted: 1 seed without predictions of the test rows (loretta_adp with adam)" in found.unknown


def test_without_predictions_rows_are_taken_as_unpaired():
    contenders, predictions, _ = three()
    paired, unpaired = verdict_on(contenders, predictions), verdict_on(contenders)
    assert unpaired.recommended.contender is paired.recommended.contender
    assert any("as if each had test rows of its own" in line for line in unpaired.unknown)
    assert not any("as if each" in line for line in paired.unknown)


def test_a_metric_that_is_no_share_of_rows():
    generator, predictions, contenders = np.random.default_rng(0), {}, []
    rows = generator.normal(0, 0.02, 1000)
    for method, level in zip(METHODS, (0.9, 0.7, 0.69), strict=True):
        made = contender(method, [[1] * round(100 * level) + [0] * (100 - round(100 * level))] * 3, score={"name": "f1"})
        for row in made.replicates:
            resampled = level + rows + generator.normal(0, 0.01, 1000)
            predictions[row.cell_id] = Predictions(metric="f1", test_sha256="t", predictions=(0,) * 100, resampled=tuple(resampled.tolist()))
        contenders.append(made)
    found = verdict_on(contenders, predictions)
    assert (found.metric, found.rows) == ("f1", 100)
    assert found.recommended.contender.method == "ft"
    assert found.is_best
    assert found.recommended.score.value == pytest.approx(0.9)


def test_no_training_is_recommended_where_it_scores_higher():
    contenders, predictions, _ = three()
    untrained = [contender(each.method, values, predictions=predictions, score={"initial": 0.99}) for each, values in zip(contenders, three()[2], strict=True)]
    assert verdict_on(untrained, predictions).kind == "no training"
    assert verdict_on(contenders, predictions).kind == "use"


@given(st.permutations(range(3)), st.permutations(range(3)), st.text(min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_the_order_of_seeds_and_names_changes_nothing(order, seeds, prefix):
    contenders, predictions, _ = three((0.85, 0.84, 0.8), rows=60)
    renamed = [
        ContenderResult(each.task, each.model, each.method, each.trainer, prefix + each.name, tuple(each.replicates[seed] for seed in seeds))
        for each in (contenders[index] for index in order)
    ]
    one, other = verdict_on(contenders, predictions), verdict_on(renamed, predictions)
    for mine, its in zip(one.standings, other.standings, strict=True):
        assert prefix + mine.contender.name == its.contender.name
        assert (mine.score, mine.probability_best, mine.difference, mine.relation) == (its.score, its.probability_best, its.difference, its.relation)
    assert (one.kind, one.is_best, one.smallest_difference) == (other.kind, other.is_best, other.smallest_difference)
