"""The tag of a word is that of its first token, whatever the tokenizer does to the word."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from loretta_core.config.model import Pretrained
from loretta_core.models import load_tokenizer
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.labelled.token_head import TokenHead, first_tokens_of


def row(*words):
    return Row({"text": " ".join(words)}, 0, labels=tuple(range(len(words))), words=words)


def byte_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({"<s>": 0, "</s>": 1} | {letter: index + 2 for index, letter in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True, trim_offsets=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def test_first_tokens_by_characters():
    offsets = [(0, 0), (0, 2), (2, 4), (4, 7), (7, 8), (0, 0)]  # [CLS] ab cd| ef|g [SEP]; the blank belongs to the token behind it
    assert list(first_tokens_of(["abcd", "ef", "g"], offsets)) == [1, 3, -1]
    assert list(first_tokens_of(["abcd", "efg"], offsets)) == [1, 3]


@pytest.mark.parametrize("make", [byte_tokenizer, lambda: load_tokenizer(Pretrained(type="pretrained", name="toy-bert"))])
def test_words_keep_their_tags(make):
    tokenizer = make()
    words = ("the", "film", ",", "unseen-word", "great")
    (example,) = TokenHead(tokenizer, max_length=64).encode([row(*words)])
    tokens = [tokenizer.convert_ids_to_tokens(example.inputs["input_ids"][place]) for place in example.word_positions]
    assert len(set(example.word_positions)) == 5
    assert -1 not in example.word_positions
    assert tokens[0] in ("t", "the", "Ġ")


def test_loss_is_the_mean_over_words_of_each_row_and_longer_padding_changes_nothing():
    tokenizer = load_tokenizer(Pretrained(type="pretrained", name="toy-bert"))
    objective, collate = TokenHead(tokenizer, max_length=64), Collator(tokenizer, device=torch.device("cpu"))
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "num_labels": 4}
    model = BertForTokenClassification(BertConfig(vocab_size=len(tokenizer), **shape)).eval()
    examples = objective.encode([row("the", "film", "was", "great"), row("great", "film")])
    batch = collate(examples)
    alone = [objective.loss(model, collate([example])).item() for example in examples]
    assert objective.loss(model, batch).item() == pytest.approx(sum(alone) / 2, abs=1e-6)
    twin = model(**collate(examples[1:]).inputs, labels=collate(examples[1:]).labels_B).loss.item()
    assert alone[1] == pytest.approx(twin, abs=1e-6)
    assert objective.loss(model, collate.padded_to(batch, 30)).item() == pytest.approx(sum(alone) / 2, abs=1e-6)
    assert [len(tags) for tags in objective.evaluate(model, batch).predictions] == [4, 2]


def test_words_behind_the_limit_have_no_prediction():
    tokenizer = load_tokenizer(Pretrained(type="pretrained", name="toy-bert"))
    (example,) = TokenHead(tokenizer, max_length=8).encode([row(*["film"] * 20)])
    assert example.cut
    assert example.word_positions[-1] == -1
    assert example.label == tuple(range(20))
