"""Every task on rows written by hand in the hub's schema: it loads, renders and encodes; an oracle gets 1.0, a constant what it must."""

import json
from collections import Counter

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from loretta_core.config.model import Pretrained
from loretta_core.config.task import Decoder, Glue, ToyEntailment, ToyQa, ToySentiment
from loretta_core.models import load_tokenizer
from loretta_core.tasks.base import BatchEvaluation
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.collate import Collator
from loretta_core.train.evaluate import evaluate

PAIR = {"sentence1": "Dogs bark .", "sentence2": "Animals bark ."}
NLI = {"premise": "It rains .", "hypothesis": "It is wet ."}
ROWS = {
    "cola": {"sentence": "They slept ."},
    "sst2": {"sentence": "a fine film"},
    "mrpc": PAIR,
    "qqp": {"question1": "Who ?", "question2": "What ?"},
    "stsb": PAIR,
    "mnli": NLI,
    "mnli_mm": NLI,
    "qnli": {"question": "Who ?", "sentence": "She did ."},
    "rte": PAIR,
    "wnli": PAIR,
    "cb": NLI,
    "boolq": {"passage": "Sky -- Blue .", "question": "is it blue"},
    "wsc": {"text": "Ann told Bo she left .", "span1_text": "Ann", "span2_text": "she"},
    "wic": {"word": "bank", **PAIR},
    "multirc": {"paragraph": "Tom ran .", "question": "Who ran ?", "answer": "Tom"},
    "copa": {"premise": "He fell .", "choice1": "He slid .", "choice2": "It rained .", "question": "cause"},
    "record": {"passage": "News .\n@highlight\nOne", "query": "@placeholder won", "entities": ["Reds", "Blues"], "answers": ["Blues"]},
    "squad": {"title": "Sky", "context": "It is blue .", "question": "What ?", "answers": {"text": ["blue"], "answer_start": [6]}},
    "drop": {"passage": "They won 3 games .", "question": "How many ?", "answers_spans": {"spans": ["3"], "types": ["number"]}},
}
LABELS = {"mnli": 3, "mnli_mm": 3, "cb": 3}
TOYS = {
    "toy_sentiment": ToySentiment(type="toy_sentiment", train_rows=8, validation_rows=8, test_rows=40, max_length=400),
    "toy_sentiment causal": ToySentiment(type="toy_sentiment", objective="causal", train_rows=8, validation_rows=8, test_rows=40, max_length=400),
    "toy_entailment": ToyEntailment(type="toy_entailment", train_rows=8, validation_rows=8, test_rows=40, max_length=400),
    "toy_entailment head": ToyEntailment(type="toy_entailment", objective="head", train_rows=8, validation_rows=8, test_rows=40, max_length=400),
    "toy_qa": ToyQa(type="toy_qa", train_rows=8, validation_rows=8, test_rows=40, max_length=400, max_new_tokens=40),
}


class Fixed:
    """Predicts what it is told, row by row."""

    def __init__(self, predict):
        self._predict = predict

    def encode(self, rows, *, training=False):
        raise AssertionError("rows are encoded by the task's own objective")

    def loss(self, model, batch):
        raise AssertionError("nothing is trained")

    def evaluate(self, model, batch):
        return BatchEvaluation(0.0, [self._predict(example) for example in batch.examples])


class Whole(Collator):
    """A collator whose batches keep their examples."""

    def __call__(self, examples):
        batch = super().__call__(examples)
        return type(batch)(batch.inputs, batch.labels_B, batch.mask_positions_B, batch.scored_S, batch.choices_B, tuple(examples))


def config(name, directory):
    if name in TOYS:
        return TOYS[name]
    task, _, objective = name.partition(" ")
    count = LABELS.get(task, 2)
    items = [{**ROWS[task], "label": row / 4 if task == "stsb" else min(row % 4, count - 1), "idx": row} for row in range(20)]
    split = {"mnli": "validation_matched", "mnli_mm": "validation_mismatched"}.get(task, "validation")
    for file in ("train", split):
        (directory / f"{file}.jsonl").write_text("\n".join(map(json.dumps, items)))
    shared = {"type": task, "path": str(directory)}
    return Decoder(**shared) if task in LABELS.keys() - {"mnli", "mnli_mm"} or task in DECODERS else Glue(**shared, objective=objective or "head")


def bytes_tokenizer():
    """A token for each byte, so that every text has tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({"<s>": 0, "</s>": 1} | {letter: index + 2 for index, letter in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")


DECODERS = ("cb", "boolq", "wsc", "wic", "multirc", "copa", "record", "squad", "drop")
NAMES = [*ROWS, *(f"{name} prompt" for name in ROWS if name not in DECODERS), "sst2 causal", "rte causal", *TOYS]


@pytest.mark.parametrize("name", NAMES)
def test_no_seed_moves_the_test_rows(name, tmp_path):
    task = config(name, tmp_path)
    first, second = (load_data(task.model_copy(update={"data_seed": seed})) for seed in (0, 11))
    assert (first.test, first.test_sha256) == (second.test, second.test_sha256)


@pytest.mark.parametrize("name", NAMES)
def test_loads_encodes_and_scores(name, tmp_path):
    task = config(name, tmp_path)
    data = load_data(task)
    assert len(data.test) == (40 if name in TOYS else 20)
    tokenizer = bytes_tokenizer() if task.objective == "causal" else load_tokenizer(Pretrained(type="pretrained", name="toy-bert"))
    if task.objective == "prompt" and name != "toy_sentiment":
        tokenizer.add_tokens(["No", "Yes", "Maybe", "incorrect", "correct"])  # toy-bert has no such words
    objective = build_objective(task, tokenizer=tokenizer, num_labels=data.outputs)
    examples = objective.encode(data.test)

    def run(predict):
        collate = Whole(tokenizer, device=torch.device("cpu"))
        return evaluate(torch.nn.Identity(), examples, objective=Fixed(predict), collate=collate, batch_size=7, scorer=data.scorer).score

    assert run(lambda example: example.answers[0] if example.answers else example.label) == pytest.approx(1.0)
    if examples[0].answers:
        assert run(lambda example: "none of these") == 0.0
    elif data.metric == "accuracy":
        label, count = Counter(example.label for example in examples).most_common(1)[0]
        assert run(lambda example: label) == count / len(examples)
    else:
        constant = run(lambda example: 1)
        assert constant == pytest.approx(2 * 15 / (15 + 20)) if data.metric == "f1" else constant == 0.0
