"""What a ranked row is in training: one sequence, unless answers branch and the method reads no branches."""

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.plan.lengths import row_shape, scored_tokens


def ranked(*words):
    task = {"type": "jsonl", "train": "t.csv", "validation": "v.csv", "objective": "causal", "template": "{text}", "verbalizer": list(words)}
    return cell_from_overrides(
        ["model=toy-llama", "method=lora", "trainer=adam", *(f"task.{name}={value!r}".replace("'", '"') for name, value in task.items())]
    ).task


@pytest.mark.parametrize(
    ("words", "trees", "shape", "scored"),
    [((" a", " b"), False, (1, 20), 1), ((" a", " b c d"), False, (1, 20), 3), ((" a b", " c d e"), True, (1, 21), 4), ((" a b", " c d e"), False, (2, 20), 4)],
)
def test_shape_of_a_row(words, trees, shape, scored):
    task = ranked(*words)
    assert row_shape(task, tokens=20, trees=trees) == shape
    assert scored_tokens(task) == scored


def test_a_published_task_has_label_words_of_a_token():
    task = cell_from_overrides(["model=toy-llama", "task=sst2", "task.objective=causal", "method=lora", "trainer=adam"]).task
    assert row_shape(task, tokens=20, trees=False) == (1, 20)
    assert scored_tokens(task) == 1
