"""The verdict in words: the answer first, and nothing that the numbers do not carry."""

import re

from tests.loretta_core.report.synthetic import bits, findings_of, make_cell, make_record, write_replicates, write_sweep


def lines(tmp_path, rights, methods=("ft", "lora", "loretta_adp"), *more):
    cells = [make_cell(method, "adam", f"seed={seed}", *more) for method in methods for seed in range(len(rights) // len(methods))]
    return findings_of(write_replicates(tmp_path, cells, rights)).lines


def test_a_clear_winner(tmp_path):
    first, *more = lines(tmp_path, [*[bits(380, rows=400)] * 3, *[bits(200, rows=400)] * 3, *[bits(190, rows=400)] * 3])
    assert re.fullmatch(r"Use ft with adam on toy_sentiment: accuracy 0\.950 ± 0\.0\d\d \(3 seeds, 400 rows\), P\(best\) > 0\.99\.", first)
    assert "  Best: separated from all 2 others (95 %, all pairs at once)." in more
    assert any(line.startswith("  Worse: lora with adam (−0.450, ") for line in more)
    assert "  No cheaper contender is shown to be within 0.01 of it." in more
    assert any(line.startswith("  Without training: 0.720 ± ") for line in more)


def test_no_winner_is_not_a_tie(tmp_path):
    said = lines(tmp_path, [bits(right, first=first, rows=400) for first in (0, 10, 20) for right in (300, 310, 320)])
    text = "\n".join(said)
    assert said[0].startswith("Use ")
    assert "Best: separated" not in text
    assert "Not separated from " in said[1]
    assert "A difference of " in text
    assert "tie" not in text


def test_two_lucky_seeds_show_nothing(tmp_path):
    said = lines(tmp_path, [bits(95), bits(60), bits(90), bits(90)], ("ft", "lora"))
    assert "  With so few seeds and rows no difference below 1 would have been shown with probability 0.8; " in "\n".join(said)


def test_one_seed_names_the_highest_on_validation_as_that(tmp_path):
    cells = [make_cell("ft"), make_cell("lora")]
    records = [(cells[0], make_record(cells[0], score={"validation": 0.7})), (cells[1], make_record(cells[1], correct=700, score={"validation": 0.8}))]
    (first, *_) = findings_of(write_sweep(tmp_path, records=records)).lines
    assert first == (
        "Highest on validation, not a verdict: lora with adam on toy_sentiment, validation accuracy 0.800. One seed per contender, so nothing is claimed."
    )


def test_nothing_yet(tmp_path):
    cell = make_cell()
    found = findings_of(write_sweep(tmp_path, records=[(cell, None)]))
    assert found.lines[0] == "No verdict on toy_sentiment: no contender has a score on the test rows yet."
    assert "1 of 1 seed not run yet (lora with adam)" in found.lines[1]
    assert found.table.body[0][4] == "not run"


def test_several_tasks_have_verdicts_of_their_own_and_a_mean_rank(tmp_path):
    rights = {"ft": (380, 382, 384), "lora": (200, 202, 204)}
    cells, rows = [], []
    for data_seed in (0, 1):
        for method, counts in rights.items():
            for seed, right in enumerate(counts):
                cells.append(make_cell(method, "adam", f"seed={seed}", f"task.data_seed={data_seed}"))
                rows.append(bits(right, rows=400))
    found = findings_of(write_replicates(tmp_path, cells, rows, tests="t" * 6 + "u" * 6))
    answers = [line for line in found.lines if not line.startswith(" ")]
    assert [answer.split(":")[0] for answer in answers[:2]] == [f"Use ft with adam on toy_sentiment data_seed={seed}" for seed in (0, 1)]
    assert answers[2].startswith("Mean rank over 2 tasks and models")
    assert "ft · adam 1.00 (1.00 to 1.00), lora · adam 2.00 (2.00 to 2.00)" in answers[2]
