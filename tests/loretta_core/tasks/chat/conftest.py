"""A byte-level tokenizer with the tokens of ChatML, and a few chat templates."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


@pytest.fixture
def tokenizer():
    """A token for each byte, one for two line breaks in a row, and those of ChatML; without a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {name: index for index, name in enumerate([*names, *alphabet])}
    core = Tokenizer(models.BPE({**vocabulary, "ĊĊ": len(vocabulary)}, [("Ċ", "Ċ")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>", additional_special_tokens=names[2:])
