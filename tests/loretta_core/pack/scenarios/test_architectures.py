"""Every architecture that the library knows can be packed, with its dropout: tiny models of random weights, each cell on rows of its own."""

from functools import partial

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

from loretta_core.config.model import Pretrained
from loretta_core.models import load_tokenizer
from loretta_core.sites import DECODERS
from tests import by_rule
from tests.laws.conftest import CONFIGS
from tests.loretta_core.pack.cells import FEW, FIRST_ORDER, ZEROTH_ORDER, losses, packed

DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "hidden_dropout", "dropout_rate")
DROPOUT_OF_GPT2 = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
POSITIONS = 96
NOT_MERGED = {"t5", "mt5", "bart", "bloom", "mpnet"}
"""Encoder-decoders' classification heads look at values: where the text ends. BLOOM's activation and MPNet's positions are computed as no vmap can."""
NOT_MERGED_ZEROTH = {"mamba"}
"""Its recurrence writes in place."""
FEW_MODELS = {"deberta", "opt", "gpt2", "t5"}
OTHER_TOKENIZERS = {"qwen2"}
"""transformers reads it with a tokenizer class of its own, which does not know the toy vocabulary."""
FOUND = [name for name in by_rule.CONFIGS if name not in by_rule.NOT_TEXT]
MODELS = [*(name for name in CONFIGS if name not in OTHER_TOKENIZERS), *FOUND]


@pytest.fixture
def work(tmp_path):
    """Model type → settings of a cell on a checkpoint of it."""

    def make(model_type):
        decoder, head = model_type in DECODERS, model_type in ("t5", "mt5", "bart")
        tokenizer = load_tokenizer(Pretrained(type="pretrained", name="toy-llama" if decoder else "toy-bert"))
        config = AutoConfig.for_model(
            model_type, **(CONFIGS | by_rule.CONFIGS)[model_type] | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "num_labels": 2}
        )
        for name in (*DROPOUT, *DROPOUT_OF_GPT2):
            if hasattr(config, name):
                setattr(config, name, 0.1)
        for name in ("max_position_embeddings", "n_positions"):
            if hasattr(config, name):
                setattr(config, name, POSITIONS)
        auto = AutoModelForSequenceClassification if head else AutoModelForCausalLM if decoder else AutoModelForMaskedLM
        torch.manual_seed(0)
        auto.from_config(config).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        objective = "head" if head else "causal" if decoder else "prompt"
        return [f"model={tmp_path}", "task=toy_sentiment", f"task.objective={objective}", *FEW]

    return make


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:.*are 3-D parameters and no linear layers:UserWarning")
@pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet implemented the batching rule:UserWarning")
@pytest.mark.parametrize("trainers", [FIRST_ORDER[:2], ZEROTH_ORDER[:2]], ids=["first", "zeroth"])
@pytest.mark.parametrize("model_type", [pytest.param(name, marks=() if name in FEW_MODELS else pytest.mark.slow) for name in MODELS])
def test_steps_are_those_of_cells_alone(model_type, trainers, work, caplog):
    cells = [[*work(model_type), "method=lora", "method.lora_dropout=0.1", *trainer] for trainer in trainers]
    one_step = partial(losses, steps=1)
    assert [one for (one,) in packed(cells, one_step)] == pytest.approx([one for (one,) in map(one_step, cells)], rel=1e-5)
    alone = NOT_MERGED | (NOT_MERGED_ZEROTH if trainers == ZEROTH_ORDER[:2] else set())
    assert ("one by one" in caplog.text) == (model_type in alone)
