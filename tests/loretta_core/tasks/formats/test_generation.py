"""Written answers: what is trained on, where writing ends, which references no answer can equal."""

from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from loretta_core.errors import DataError
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.generation import Generation
from loretta_core.tasks.formats.stopping import at_stops


@pytest.fixture(scope="module")
def tokenizer():
    """A token for each byte, and one for "a: " with its blank, as SentencePiece and BPE have them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1, "<turn>": 2} | {letter: index + 3 for index, letter in enumerate(alphabet)}
    core = Tokenizer(models.BPE({**vocabulary, "Ġy": len(vocabulary)}, [("Ġ", "y")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>", additional_special_tokens=["<turn>"])


def objective(tokenizer, **settings):
    return Generation(tokenizer, **{"max_length": 64, "max_new_tokens": 12, **settings})


def trained(tokenizer, row, **settings):
    (example,) = objective(tokenizer, **settings).encode([row])
    (choice,) = example.choices
    return tokenizer.decode(choice.tokens), tokenizer.decode(choice.tokens[-choice.scored :]), tokenizer.decode(example.prompt)


def row(prompt="Q\n", answer="a\nb", **more):
    return Row({"prompt": prompt}, 0, answers=(answer,), **more)


def test_an_answer_is_trained_as_it_stands_with_an_end_token(tokenizer):
    assert trained(tokenizer, row()) == ("Q\na\nb</s>", "a\nb</s>", "Q\n")
    assert trained(tokenizer, row(), end_tokens=["<turn>", "</s>"])[0] == "Q\na\nb<turn>"


def test_a_blank_at_the_end_of_a_prompt_belongs_to_the_answer(tokenizer):
    assert trained(tokenizer, row("Q: ", "yes")) == ("Q: yes</s>", " yes</s>", "Q:")
    assert trained(tokenizer, row("Q:", "yes", lead=" "), ending="\n") == ("Q: yes\n", " yes\n", "Q:")
    assert trained(tokenizer, row("Q:", "yes", lead=" "), ending="\n", end_tokens=["<turn>"])[0] == "Q: yes\n<turn>"


class Writes:
    """A model that writes given texts."""

    def __init__(self, tokenizer, *texts, ends=None):
        self._rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        self.generation_config = SimpleNamespace(eos_token_id=ends)

    def generate(self, *, input_ids, max_new_tokens, eos_token_id, stopping_criteria, **settings):
        self.ends = eos_token_id
        rows = [(tokens + [1] * max_new_tokens)[:max_new_tokens] for tokens in self._rows]
        return torch.cat([input_ids, torch.tensor(rows)], dim=1)


@pytest.mark.parametrize(
    ("written", "settings", "expected"),
    [
        ("a\nb</s>c", {}, "a\nb"),
        ("\n\na\nb", {"stop": ["\n"]}, "a"),
        ("a<turn>b", {"end_tokens": ["<turn>"]}, "a"),
        ("a END b", {"stop": ["END"]}, "a"),
    ],
)
def test_where_an_answer_ends(tokenizer, written, settings, expected):
    written_by = objective(tokenizer, **settings)
    assert written_by.write(Writes(tokenizer, written), written_by.encode([row()]), device=torch.device("cpu")) == [expected]


def test_the_checkpoint_ends_turns_with_tokens_of_its_own(tokenizer):
    model, written_by = Writes(tokenizer, "a<turn>b", ends=[2]), objective(tokenizer)
    assert written_by.write(model, written_by.encode([row()]), device=torch.device("cpu")) == ["a"]
    assert model.ends == [1, 2]


def test_rows_stop_one_by_one(tokenizer):
    (criterion,) = at_stops(tokenizer, ["END"], prompt_length=2)
    rows = torch.tensor([tokenizer("ENDa ENDb")["input_ids"], tokenizer("ENDa EN b")["input_ids"]])
    assert criterion(rows[:, 3:], rows).tolist() == [True, False]
    assert at_stops(tokenizer, [], prompt_length=2) == []


def test_references_that_are_too_long_to_be_written(tokenizer):
    rows = [row(answer="a" * 13), row(answer="b"), row(answer="c")]
    assert [example.unwritable for example in objective(tokenizer).encode(rows)] == [True, False, False]
    with pytest.raises(DataError, match=r"1 of 1 references are longer than task.max_new_tokens = 12 .* the longest needs task.max_new_tokens = 14"):
        objective(tokenizer).encode(rows[:1])
    assert objective(tokenizer).encode(rows[:1], training=True)[0].unwritable


def test_what_cannot_be_used(tokenizer):
    with pytest.raises(DataError, match=r"task.end_tokens: '<stop>' is no token of the model; its special tokens are <s>"):
        objective(tokenizer, end_tokens=["<stop>"])
    with pytest.raises(DataError, match=r"row 1: the answer 'aaaa.*' does not fit into max_length = 64"):
        objective(tokenizer).encode([row(answer="a" * 70)])
