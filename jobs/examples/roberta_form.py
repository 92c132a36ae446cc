"""Give a BERT checkpoint RoBERTa's form, with its classification head of two layers, to try tensorized heads on a small model.

python -m jobs.examples.roberta_form DIRECTORY [BERT]

The blocks of the two architectures are the same, so the weights stay; only RoBERTa's positions begin after the padding index. A sweep over the two forms
of the head: jobs/sweeps/classifier_head.toml.
"""

import sys
from pathlib import Path

import torch
from transformers import BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

import loretta_core

TOY = Path(loretta_core.__file__).parent / "assets" / "toy-bert"


def roberta_form(bert: BertModel, *, pad_token_id: int) -> RobertaModel:
    """Return a RoBERTa that computes what `bert` computes, for texts without padding and the same text with padding masked."""
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "type_vocab_size", "hidden_act", "layer_norm_eps")
    offset = pad_token_id + 1
    positions = bert.config.max_position_embeddings + offset
    settings = {name: getattr(bert.config, name) for name in kept}
    model = RobertaModel(RobertaConfig(**settings, max_position_embeddings=positions, pad_token_id=pad_token_id), add_pooling_layer=False)
    state = {name: value for name, value in bert.state_dict().items() if not name.startswith("pooler.")}
    name = "embeddings.position_embeddings.weight"
    state[name] = torch.cat([torch.zeros(offset, state[name].shape[1]), state[name]])
    model.load_state_dict(state)
    return model.eval()


if __name__ == "__main__":
    target, source = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else TOY
    tokenizer = PreTrainedTokenizerFast.from_pretrained(source)
    tokenizer.save_pretrained(target)
    roberta_form(BertModel.from_pretrained(source, dtype=torch.float32), pad_token_id=tokenizer.pad_token_id).save_pretrained(target)
    print(f"wrote {target}")
