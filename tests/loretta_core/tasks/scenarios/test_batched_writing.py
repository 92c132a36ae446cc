"""Rows that are written together, padded on the left, say what each says alone: a Llama, a GPT-2 and an OPT, whose positions count in different ways."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from loretta_core.config.model import Pretrained
from loretta_core.models import load_model, load_tokenizer
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.generation import Generation

TOY = Pretrained(type="pretrained", name="toy-llama")
SHAPES = {
    "gpt2": lambda words: GPT2LMHeadModel(GPT2Config(vocab_size=words, n_embd=32, n_layer=2, n_head=2, n_positions=64)),
    "opt": lambda words: OPTForCausalLM(
        OPTConfig(vocab_size=words, hidden_size=32, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64, word_embed_proj_dim=32)
    ),
}
PROMPTS = ["the film was great and it was", "was", "it was the very slow film . the film was terrible . it was", "the film"]


@pytest.mark.parametrize("name", ["toy-llama", *SHAPES])
def test_together_as_one_by_one(name):
    tokenizer = load_tokenizer(TOY)
    torch.manual_seed(0)
    if name in SHAPES:
        model = SHAPES[name](len(tokenizer)).eval()
        for parameter in model.parameters():
            parameter.data.mul_(5)  # far from uniform: a wrong position or a seen padding token changes the likeliest word
    else:
        model = load_model(TOY, objective="causal", num_labels=2, dtype=torch.float32)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    objective = Generation(tokenizer, max_length=48, max_new_tokens=8)
    examples = objective.encode([Row({"prompt": prompt}, 0, answers=("great",)) for prompt in PROMPTS])
    device = torch.device("cpu")
    alone = [objective.write(model, [example], device=device)[0] for example in examples]
    assert objective.write(model, examples, device=device) == alone
    assert len(set(alone)) > 1
