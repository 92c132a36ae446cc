"""Packed rows have the loss of padded ones, and an architecture on which they would not is refused."""

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from loretta_core.config.cell import CellConfig
from loretta_core.errors import MethodError
from loretta_core.tasks.chat.conversation import Conversation
from loretta_core.tasks.chat.packing import MOST_WASTE, packed_form, spread
from loretta_core.tasks.chat.templates import BUILT_IN
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.data.conversations.load import conversation_row
from loretta_core.tasks.data.rows import Turn

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 256, "initializer_range": 0.3}
MODELS = {
    "llama": lambda size: LlamaForCausalLM(LlamaConfig(vocab_size=size, **SMALL)),
    "mistral": lambda size: MistralForCausalLM(MistralConfig(vocab_size=size, sliding_window=8, num_key_value_heads=1, **SMALL)),
    "gpt2": lambda size: GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=16, n_layer=2, n_head=2, n_positions=256, initializer_range=0.3)),
    "opt": lambda size: OPTForCausalLM(OPTConfig(vocab_size=size, ffn_dim=32, word_embed_proj_dim=16, **SMALL)),
}


def rows():
    long = [Turn("user", "q" * 50), Turn("assistant", "one"), Turn("user", "r"), Turn("assistant", "two")]
    return [conversation_row(long, answers=["two"])] + [conversation_row([Turn("user", "q" * n), Turn("assistant", "a" * n)], answers=["a"]) for n in (1, 3, 9)]


def losses(model, tokenizer):
    """The loss of the rows padded, and packed."""
    tokenizer.chat_template = BUILT_IN["plain"]
    padded, packed = (Conversation(tokenizer, max_length=256, max_new_tokens=8, packing=packing) for packing in (False, True))
    examples = padded.encode(rows(), training=True)
    packed.prepare(model, examples)
    batch = Collator(tokenizer, device=torch.device("cpu"))(examples)
    return padded.loss(model, batch), packed.loss(model, batch)


@pytest.mark.parametrize("name", MODELS)
def test_packed_losses_and_gradients_are_the_padded_ones(name, tokenizer):
    torch.manual_seed(0)
    model = MODELS[name](len(tokenizer)).eval()
    both, gradients = losses(model, tokenizer), []
    for loss in both:
        model.zero_grad()
        loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]))
    assert both[1].item() == pytest.approx(both[0].item(), rel=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)


def test_a_state_that_runs_across_rows_is_refused(tokenizer):
    torch.manual_seed(0)
    model = MambaForCausalLM(MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, state_size=4, initializer_range=0.3))
    with pytest.raises(MethodError, match=r"task.packing = true: on this mamba, with this method, rows in one sequence see one another"):
        losses(model, tokenizer)


def test_the_form_is_found_out(tokenizer):
    tokenizer.chat_template = BUILT_IN["plain"]
    examples = Conversation(tokenizer, max_length=256, max_new_tokens=8).encode(rows(), training=True)
    assert {name: packed_form(MODELS[name](len(tokenizer)), examples, pad=0) for name in ("llama", "opt")} == {"llama": "positions", "opt": "mask"}


@pytest.mark.parametrize("lengths", [[5] * 16, [1] * 15 + [400], list(range(1, 65)), [7]])
def test_sequences_waste_little_and_hold_every_row_once(lengths):
    groups = spread(lengths)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    assert len(groups) * max(sum(lengths[row] for row in group) for group in groups) <= (1 + MOST_WASTE) * sum(lengths)
    assert len(groups) == (len(lengths) if len(set(lengths)) == 1 else len(groups))


@pytest.mark.parametrize("batched", [False, True])
def test_zeroth_order_sees_the_same_losses(batched, tmp_path):
    from loretta_core.train.run import run_cell

    def curve(packing):
        task = {"type": "toy_instruct", "train_rows": 32, "validation_rows": 8, "test_rows": 8, "packing": packing, "max_new_tokens": 4}
        cell = {
            "model": {"type": "pretrained", "name": "toy-llama"},
            "task": task,
            "method": {"type": "lora"},
            "trainer": {"type": "zo_sgd", "lr": 1e-3, "steps": 2, "eval_every": 2, "batched": batched},
            "score_test": False,
        }
        return dict(run_cell(CellConfig.model_validate(cell), directory=tmp_path / str(packing)).curves["train_loss"])

    assert curve(True) == pytest.approx(curve(False), rel=1e-5)


@pytest.mark.parametrize("method", ["prefix", "prompt", "ptune"])
def test_virtual_tokens_are_refused(method):
    with pytest.raises(ValueError, match=f"task.packing = true puts several rows into one sequence, and {method} puts its tokens before the first"):
        CellConfig.model_validate(
            {
                "model": {"type": "pretrained", "name": "toy-llama"},
                "task": {"type": "toy_instruct", "packing": True},
                "method": {"type": method},
                "trainer": {"type": "adam"},
            }
        )
