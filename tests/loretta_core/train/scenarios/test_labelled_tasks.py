"""Tasks with choices of their own, several labels, or a tag for each word, from config to record, and what the planner says of them."""

import json
import math
from importlib.util import find_spec

import pytest

from loretta_core.adapters.build import trainable_parameter_count
from loretta_core.config import cell_from_overrides
from loretta_core.plan.cell import plan_cell
from loretta_core.train.build import build_run
from loretta_core.train.run import run_cell
from tests.loretta_core.pack.cells import FIRST_ORDER, ZEROTH_ORDER, losses, packed

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_spec("seqeval") is None, reason='needs scorers: pip install "loretta-on-ray[scorers]"'),
]

WORDS = ["the", "film", "was", "great", "terrible"]
ROWS = {
    "multiple_choice": [{"question": f"the film was {n}", "choices": ["great", "terrible", "dull"][: 2 + n % 2], "answer": n % 2} for n in range(20)],
    "multi_label": [{"text": WORDS[n % 5], "labels": [["joy"], [], ["fear", "joy"]][n % 3]} for n in range(20)],
    "token_classification": [{"tokens": WORDS[: 1 + n % 5], "tags": ["B-X", "I-X", "O", "O", "B-Y"][: 1 + n % 5]} for n in range(20)],
}
NAMES = {"multi_label": ', labels = ["joy", "fear"]', "token_classification": ', labels = ["O", "B-X", "I-X", "B-Y"]', "multiple_choice": ""}

TRAINERS = [
    '{type = "adam", steps = 2, eval_every = 2}',
    pytest.param('{type = "zo_sgd", steps = 2, eval_every = 2}', marks=pytest.mark.slow),
]


def cell(tmp_path, task, **settings):
    return cell_from_overrides(overrides(tmp_path, task, **settings))


def overrides(tmp_path, task, *, settings="", llama="toy-llama", method="lora", trainer='{type = "adam", steps = 2, eval_every = 2}'):
    path = tmp_path / f"{task}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[task]))
    model = llama if task == "multiple_choice" else "toy-bert"
    given = f'{{type = "{task}", train = "{path}", validation = "{path}"{NAMES[task]}{settings}}}'
    return [f"model={model}", f"task={given}", f"method={method}", f"trainer={trainer}", "batch_size=4"]


@pytest.mark.parametrize("settings", ["", ', by = "text", normalize = "characters"', pytest.param(', by = "text", normalize = "none"', marks=pytest.mark.slow)])
def test_multiple_choice(tmp_path, llama, settings):
    record = run_cell(cell(tmp_path, "multiple_choice", settings=settings, llama=llama), directory=tmp_path / "out")
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (record.score.name, record.score.majority, record.score.by_class) == ("accuracy", 0.5, None)
    assert [len(scores) for scores in found["row_scores"]] == [len(row["choices"]) for row in ROWS["multiple_choice"]]
    lengths = {"none": lambda choice: 1, "characters": len}
    for name, length in lengths.items():
        if f'"{name}"' in settings:
            for row, scores, predicted in zip(ROWS["multiple_choice"], found["row_scores"], found["predictions"], strict=True):
                ranks = [score / length(choice) for score, choice in zip(scores, row["choices"], strict=True)]
                assert ranks[predicted] == max(ranks)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_several_labels(tmp_path, trainer):
    record = run_cell(cell(tmp_path, "multi_label", trainer=trainer), directory=tmp_path / "out")
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (record.score.name, set(record.score.by_class)) == ("set_micro_f1", {"joy", "fear"})
    assert record.score.by_class["joy"].rows == 13
    assert found["references"][:3] == [[0], [], [0, 1]]
    assert found["predictions"] == [[label for label, p in enumerate(scores) if p > 0.5] for scores in found["row_scores"]]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_tags_of_words(tmp_path, trainer):
    record = run_cell(cell(tmp_path, "token_classification", trainer=trainer), directory=tmp_path / "out")
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (record.score.name, record.score.majority) == ("span_f1", 0.0)  # always O
    assert found["references"][4] == ["B-X", "I-X", "O", "O", "B-Y"]
    assert {len(row) for row in found["predictions"]} == {1, 2, 3, 4, 5}
    assert record.score.by_class["X"].rows == 20


@pytest.mark.parametrize("method", ["ft", "loretta_adp", "prefix", "bitfit"])
@pytest.mark.parametrize("task", ["multi_label", "token_classification"])
def test_what_trains_is_what_was_planned(tmp_path, task, method):
    planned = cell(tmp_path, task, method=method)
    assert plan_cell(planned).trainable_params == trainable_parameter_count(build_run(planned).model)


@pytest.mark.parametrize("trainers", [FIRST_ORDER[:2], ZEROTH_ORDER[:2]], ids=["first", "zeroth"])
@pytest.mark.parametrize("task", ROWS)
def test_steps_of_a_pack_are_those_of_cells_alone(tmp_path, task, trainers, llama, caplog):
    settings = ', by = "text"' if task == "multiple_choice" else ""
    cells = [[*overrides(tmp_path, task, settings=settings, llama=llama), *trainer] for trainer in trainers]
    for merged, alone in zip(packed(cells), map(losses, cells), strict=True):
        assert merged == pytest.approx(alone, rel=1e-3)
    assert "one by one" not in caplog.text


WHOLE = '{{type = "jsonl", train = "{0}", validation = "{0}", objective = "causal", text = [], answer = "text", metric = "perplexity"}}'
ANSWERS = '{{type = "jsonl", train = "{0}", validation = "{0}", objective = "causal", template = "{{text}} was", answer = "a.b", metric = "loss"}}'


@pytest.mark.parametrize(("task", "name"), [(WHOLE, "neg_perplexity"), (ANSWERS, "neg_loss")])
def test_texts_read_by_their_probability_are_not_written(tmp_path, task, name):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"the film {word}", "a": {"b": word * (n % 3 + 1)}}) + "\n" for n, word in enumerate(WORDS * 3)))
    settings = ["model=toy-llama", f"task={task.format(path)}", "method=lora", "trainer=none", "batch_size=4"]
    record = run_cell(cell_from_overrides(settings), directory=tmp_path / "out")
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    loss = -sum(total for total, _ in found["predictions"]) / sum(tokens for _, tokens in found["predictions"])
    assert record.score.name == name
    assert record.score.value == pytest.approx(-math.exp(loss) if name == "neg_perplexity" else -loss, rel=1e-4)
    assert record.score.low < record.score.value < record.score.high
    assert [total / tokens for total, tokens in found["predictions"]] == pytest.approx(found["log_likelihoods"], abs=1e-4)
