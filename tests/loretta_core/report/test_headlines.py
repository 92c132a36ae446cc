"""The sentence above the table."""

from loretta_core.report.headlines import headlines
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record, rows_of, write_sweep

LORA, FT = make_cell("lora"), make_cell("ft")


def of(tmp_path, *records):
    return headlines(rows_of(write_sweep(tmp_path, records=list(records))))


def test_the_best_cell_and_where_it_started(out):
    assert headlines(rows_of(out, name="quickstart")) == ["Best on toy_sentiment: lora with adam, accuracy 0.910 ± 0.018. Before training: 0.720."]


def test_a_sentence_for_each_task_and_model(tmp_path):
    small, large, other = make_cell(), make_cell("ft", "adam", "model=org/large"), make_cell("lora", "adam", "task.data_seed=1")
    records = [(small, make_record(small)), (large, make_record(large, correct=950, score={"initial": 0.5})), (other, make_record(other, correct=800))]
    assert of(tmp_path, *records) == [
        "Best on toy_sentiment data_seed=0 with large: ft with adam, accuracy 0.950 ± 0.014. Before training: 0.500.",
        "Best on toy_sentiment data_seed=0 with toy-bert: lora with adam, accuracy 0.900 ± 0.019. Before training: 0.720.",
        "Best on toy_sentiment data_seed=1 with toy-bert: lora with adam, accuracy 0.800 ± 0.025. Before training: 0.720.",
    ]


def test_scores_before_training_that_differ_are_a_range(tmp_path):
    """A fresh head differs from seed to seed."""
    (line,) = of(tmp_path, (LORA, make_record(LORA, score={"initial": 0.48})), (FT, make_record(FT, correct=800, score={"initial": 0.53})))
    assert line.endswith("Before training: 0.480 to 0.530.")


def test_without_a_score_before_training_nothing_is_said_about_it(tmp_path):
    (line,) = of(tmp_path, (LORA, make_record(LORA, score={"initial": None})))
    assert line.endswith("accuracy 0.900 ± 0.019.")


def test_nothing_to_say(tmp_path):
    assert of(tmp_path, (LORA, failed_record(LORA)), (FT, None)) == []
    assert headlines([]) == []
