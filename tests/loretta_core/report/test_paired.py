"""Two cells on the same rows: the tests equal scipy's, only comparable cells are compared, and the page says what they found."""

import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from loretta_core.report.compare import compare, write_comparison
from loretta_core.report.headlines import headlines
from loretta_core.report.stats import holm, mcnemar, paired_bootstrap
from loretta_core.store.predictions import PREDICTIONS_NAME, Predictions, find_predictions, write_predictions
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Digests
from tests.loretta_core.report.synthetic import make_cell, make_record, write_sweep

BEST, CLOSE, FAR = make_cell("ft"), make_cell("lora"), make_cell("adapters")


def bits(right: int, *, rows: int = 100, first: int = 0) -> str:
    """`right` rows right, from place `first` on."""
    return "".join("1" if first <= place < first + right else "0" for place in range(rows))


@pytest.mark.parametrize(("first", "second"), [(bits(90), bits(80)), (bits(60), bits(60, first=40)), (bits(50), bits(52)), (bits(5), bits(5))])
def test_mcnemar_is_the_binomial_test_of_the_rows_that_differ(first, second):
    only = [sum(a > b for a, b in zip(*pair, strict=True)) for pair in ((first, second), (second, first))]
    expected = scipy_stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-12)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_mcnemar_holds_for_many_rows():
    rng = np.random.default_rng(0)
    first, second = ("".join(map(str, rng.integers(0, 2, 20_000))) for _ in range(2))
    assert 0 < mcnemar(first, second) <= 1


def test_the_paired_bootstrap_counts_signs():
    rng = np.random.default_rng(0)
    base = rng.normal(0.8, 0.02, 1000)
    assert paired_bootstrap(list(base + 0.001), list(base)) == pytest.approx(2 / 1001)  # equal noise cancels
    assert paired_bootstrap(list(base), list(base)) == 1.0
    assert paired_bootstrap(list(base), list(rng.permutation(base))) > 0.5


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("test", [mcnemar, paired_bootstrap])
def test_other_rows_are_refused(test):
    with pytest.raises(ValueError, match=r"1 .* against 2"):
        test("1", "10") if test is mcnemar else test([1.0], [1.0, 0.0])


def sweep(tmp_path, rights, *, tests="t"):
    """Three cells with given rows right; `tests` names the test rows of each."""
    cells = [BEST, CLOSE, FAR]
    records = []
    for cell, right in zip(cells, rights, strict=True):
        records.append((cell, make_record(cell, correct=right.count("1"), rows=len(right))))
    out = write_sweep(tmp_path / "out", records=records)
    for (cell, record), right, test in zip(records, rights, tests * 3 if len(tests) == 1 else tests, strict=False):
        found = Predictions(metric="accuracy", test_sha256=test, predictions=tuple(map(int, right)), right=right)
        write_predictions(found, out / "cells" / cell.cell_id)
        write_record(record.model_copy(update={"digests": Digests(predictions=found.sha256)}), out / "cells" / cell.cell_id)
    return out


def test_the_comparison_says_which_cells_cannot_be_told_apart(tmp_path):
    out = sweep(tmp_path, [bits(90), bits(88), bits(60)])
    found = compare(out, name="sweep")
    best, close, far = found.rows
    assert best.paired is None
    assert close.paired.difference == pytest.approx(-0.02)
    assert close.paired.p == pytest.approx(0.5)
    assert far.paired.p < 1e-7
    assert "Not told apart from it row by row (paired test, p ≥ 0.05): lora with adam, of 2 others." in found.text
    page = write_comparison(out, name="sweep").report.read_text()
    assert "against best" in page
    assert "−0.020, p 0.500" in page
    assert "−0.300, p &lt; 0.001" in page
    assert [row.get("paired_p") is None for row in json.loads(found.json)] == [True, False, False]


def test_when_all_are_worse_it_says_so(tmp_path):
    found = compare(sweep(tmp_path, [bits(90), bits(50), bits(40)]), name="sweep")
    assert "Row by row, all 2 others are worse (paired test, p < 0.05)." in found.text


def test_a_sorted_or_filtered_table_names_the_same_best(tmp_path):
    """The page sorts by any column, and its filters can hide the cell that the others were tested against."""
    best, close, far = compare(sweep(tmp_path, [bits(90), bits(88), bits(60)]), name="sweep").rows
    assert headlines([far, close, best]) == headlines([best, close, far])
    (alone,) = headlines([far, close])
    assert alone.startswith("Best on toy_sentiment: lora with adam, accuracy 0.880")
    assert "paired" not in alone


def test_other_rows_are_not_paired(tmp_path):
    found = compare(sweep(tmp_path, [bits(90), bits(88), bits(60)], tests="tuu"), name="sweep")
    assert [row.paired for row in found.rows] == [None, None, None]
    assert "row by row" not in found.text


@pytest.mark.parametrize("damage", ["", "{}", '{"metric": "x"}'])
def test_a_damaged_file_is_left_out(tmp_path, damage):
    out = sweep(tmp_path, [bits(90), bits(88), bits(60)])
    (out / "cells" / CLOSE.cell_id / PREDICTIONS_NAME).write_text(damage)
    found = compare(out, name="sweep")
    assert [row.paired is None for row in found.rows] == [True, True, False]


def test_a_record_from_before_predictions_were_kept(tmp_path):
    record = make_record(BEST)
    assert find_predictions(tmp_path, {BEST.cell_id: record}) == {}
