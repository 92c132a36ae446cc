"""One forward for several variants gives the losses of one after the other, on whole PEFT models."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertConfig, DebertaConfig, LlamaConfig, OPTConfig, RobertaConfig

from loretta_core.adapters.build import apply_method
from loretta_core.config import FAMILIES
from loretta_core.zo.noise import Direction, draw
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.variants import Autotuned, Batched, Serial, Variant

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50, "max_position_embeddings": 40}
CONFIGS = {
    "bert": BertConfig(**SIZES, intermediate_size=96),
    "roberta": RobertaConfig(**SIZES, intermediate_size=96),
    "deberta": DebertaConfig(**SIZES, intermediate_size=96, relative_attention=True, pos_att_type=["c2p", "p2c"], max_relative_positions=20),
    "opt": OPTConfig(**SIZES, ffn_dim=96, word_embed_proj_dim=64),
    "llama": LlamaConfig(**SIZES, intermediate_size=96, num_key_value_heads=2),
}
CAUSAL = {"opt", "llama"}


def tuned(architecture, method):
    torch.manual_seed(0)
    kind = AutoModelForCausalLM if architecture in CAUSAL else AutoModelForMaskedLM
    base = kind.from_config(CONFIGS[architecture])
    config = FAMILIES["method"][method](type=method)
    model = apply_method(base, method=config, task_type="CAUSAL_LM" if architecture in CAUSAL else "MASKED_LM").eval()
    return model, [parameter for parameter in model.parameters() if parameter.requires_grad]


def closure_of(model):
    ids_BL = torch.randint(5, 50, (3, 12), generator=torch.Generator().manual_seed(1))
    mask_BL = torch.ones_like(ids_BL)
    mask_BL[0, 9:] = 0
    return lambda: F.cross_entropy(model(input_ids=ids_BL, attention_mask=mask_BL).logits.float().flatten(0, 1), ids_BL.flatten())


@pytest.mark.parametrize("method", ["lora", "loretta_adp", "loretta_rep", "adapters"])
@pytest.mark.parametrize("architecture", CONFIGS)
@torch.no_grad()
def test_batched_equals_serial(architecture, method):
    model, parameters = tuned(architecture, method)
    flat = FlatParameters(parameters)
    flat.theta_P.add_(draw(Direction(9, 9), size=len(flat)), alpha=0.02)
    before = flat.theta_P.clone()
    shifts = [1e-2 * draw(Direction(0, 0, k), size=len(flat)) for k in range(3)]
    variants = [Variant(sign, shift) for shift in shifts for sign in (1, -1)]
    closure = closure_of(model)
    serial = Serial().losses(closure, storage=flat, variants=variants)
    batched = Batched(model).losses(closure, storage=flat, variants=variants)
    assert batched == pytest.approx(serial, rel=1e-5)
    assert len(set(serial)) == 6
    assert torch.equal(flat.theta_P, before)
    assert torch.equal(torch.cat([p.reshape(-1) for p in parameters]), before)


def test_an_optimizer_steps_the_same_way():
    ends = []
    for make in (lambda model: Serial(), Batched, Autotuned):
        model, parameters = tuned("bert", "lora")
        optimizer = ZOSGD(parameters, lr=1e-2, zo_eps=1e-2, num_directions=2)
        optimizer.evaluator = make(model)
        closure = closure_of(model)
        for _ in range(4):
            optimizer.step(closure)
        ends.append(optimizer.theta.clone())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ends[0], ends[2], rtol=1e-3, atol=1e-4)


def test_bf16_parameters_are_stacked_as_they_are_streamed():
    losses = []
    for make in (lambda model: Serial(), Batched):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 4)).bfloat16()
        optimizer = ZOSGD(model.parameters(), lr=1e-3, zo_eps=1e-1, num_directions=2)
        optimizer.evaluator = make(model)
        ids_BL = torch.tensor([[1, 2, 2], [0, 8, 1]])
        losses.append([optimizer.step(lambda model=model, ids_BL=ids_BL: (model(ids_BL).float() ** 2).mean()) for _ in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    assert losses[0][2] != losses[0][0]


def test_the_faster_one_is_kept_per_shape(monkeypatch):
    clock = iter([0.0, 5.0, 5.0, 6.0] * 3)
    monkeypatch.setattr("loretta_core.zo.variants.time.perf_counter", lambda: next(clock))
    model = nn.Linear(2, 1)
    flat = FlatParameters(list(model.parameters()))
    shape = [8]
    autotuned = Autotuned(model, key=lambda: shape[0])
    variants = [Variant(1, torch.ones(3)), Variant(-1, torch.ones(3))]

    def run():
        with torch.no_grad():
            return autotuned.losses(lambda: model(torch.ones(4, 2)).mean(), storage=flat, variants=variants)

    losses = [run() for _ in range(6)]
    assert all(found == pytest.approx(losses[0]) for found in losses)
    assert autotuned.chose_batched(2) is True
    shape[0] = 16
    assert autotuned.chose_batched(2) is None


def test_a_parameter_of_another_model_is_refused():
    flat = FlatParameters([nn.Parameter(torch.ones(3))])
    with pytest.raises(ValueError, match="not in the model"):
        Batched(nn.Linear(2, 1)).losses(lambda: torch.tensor(0.0), storage=flat, variants=[Variant(1, torch.ones(3))])
