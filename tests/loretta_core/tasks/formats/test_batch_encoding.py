"""Prompts that are tokenised once have the tokens of texts that are tokenised whole, one by one, whatever the tokenizer."""

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from loretta_core.tasks.formats import batch_encoding
from loretta_core.tasks.formats.batch_encoding import encode_continuations, encode_inputs

PROMPTS = [
    "A fine film. It was", "a fine film.  It was", "It was", "film", "", "Is it true? Yes or No?\n", "Answer: ", "Zahlen 12 und 5", "no_blanks\nat\nall",
    "it was ", "An émigré’s view —", "ends in a number 4", "two\n\nlines \n", "日本語の文", "tab\tand   blanks", "<s>text",
]  # fmt: skip
ANSWERS = [" terrible", " great", "Yes", "No", "ly so", "\n", " ", "42", "́e", "5 and 6", ".", "’s"]
_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _byte_level(split=None, *, add_prefix_space=False):
    backend = Tokenizer(models.BPE())
    if split:
        pieces = [pre_tokenizers.Split(Regex(split), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=False)]
        backend.pre_tokenizer = pre_tokenizers.Sequence(pieces)
    else:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    return backend, trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>"], show_progress=False)


def _metaspace(*, split, prepend_scheme="always"):
    backend = Tokenizer(models.Unigram() if split else models.BPE(unk_token="<s>"))
    if split:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend_scheme)
        return backend, trainers.UnigramTrainer(vocab_size=120, special_tokens=["<s>"], unk_token="<s>", show_progress=False)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])  # Llama 2: words are not split at all
    return backend, trainers.BpeTrainer(vocab_size=200, special_tokens=["<s>"], show_progress=False)


def _word_pieces():
    backend = Tokenizer(models.WordPiece(unk_token="<s>"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return backend, trainers.WordPieceTrainer(vocab_size=150, special_tokens=["<s>"], show_progress=False)


KINDS = {
    "gpt2": _byte_level,
    "gpt2 with a blank before": lambda: _byte_level(add_prefix_space=True),
    "llama 3": lambda: _byte_level(_LLAMA3),
    "llama 2": lambda: _metaspace(split=False),
    "sentencepiece": lambda: _metaspace(split=True),
    "sentencepiece, first only": lambda: _metaspace(split=True, prepend_scheme="first"),
    "bert": _word_pieces,
}


@pytest.fixture(params=KINDS)
def tokenizer(request):
    backend, trainer = KINDS[request.param]()
    backend.train_from_iterator([*PROMPTS, *(prompt + answer for prompt in PROMPTS for answer in ANSWERS)] * 2, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", pad_token="<s>")


def test_equals_whole_texts_one_by_one(tokenizer, monkeypatch):
    monkeypatch.setattr(batch_encoding, "AT_ONCE", 7)
    tokenizer(PROMPTS, truncation=True, max_length=3, padding=True)  # leaves its settings behind
    found = encode_continuations(tokenizer, PROMPTS, [ANSWERS] * len(PROMPTS))
    for prompt, (words, continued) in zip(PROMPTS, found, strict=True):
        assert words == tokenizer(prompt, add_special_tokens=False)["input_ids"], prompt
        for answer, one in zip(ANSWERS, continued, strict=True):
            whole = tokenizer(prompt + answer, add_special_tokens=False, return_offsets_mapping=True)
            assert one.tokens == whole["input_ids"], (prompt, answer)
            assert one.scored == sum(end > len(prompt) for _, end in whole["offset_mapping"]), (prompt, answer)


def test_inputs_are_those_of_the_tokenizer(tokenizer):
    for kinds in (["input_ids", "attention_mask"], ["input_ids", "token_type_ids", "attention_mask"]):
        tokenizer.model_input_names = kinds
        assert encode_inputs(tokenizer, PROMPTS) == [dict(tokenizer(prompt)) for prompt in PROMPTS]
