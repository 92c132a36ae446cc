"""The structural rule on lists of layers, as models of each kind have them."""

import pytest

from loretta_core.sites import Sites
from loretta_core.structure import Linear, found_layers, structural_sites

ATTENTION = {"self_attn.q_proj": (8, 12), "self_attn.k_proj": (8, 4), "self_attn.v_proj": (8, 4), "self_attn.o_proj": (12, 8)}
GATED = {"mlp.gate_proj": (8, 20), "mlp.up_proj": (8, 20), "mlp.down_proj": (20, 8)}
HEAD = [Linear("lm_head", 8, 100)]


def stack(layers, *, path="model.layers", depth=2):
    return [Linear(f"{path}.{index}.{name}", *size) for index in range(depth) for name, size in layers.items()]


def test_a_decoder_has_adapters_around_its_feed_forward_block():
    found = structural_sites([*stack({**ATTENTION, **GATED}), *HEAD], decoder=True)
    assert found.adapters == Sites(input=("gate_proj", "up_proj"), output=("down_proj",))
    assert found.weights == Sites(output=("q_proj", "v_proj"))
    assert found.scaling == Sites(output=("k_proj", "v_proj"), input=("down_proj",))


def test_an_encoder_has_adapters_behind_attention_and_feed_forward_block():
    found = structural_sites(stack({**ATTENTION, **GATED}), decoder=False)
    assert found.adapters == Sites(output=("o_proj", "down_proj"))


@pytest.mark.parametrize(
    ("layers", "weights", "entering", "leaving"),
    [
        ({"attn.Wqkv": (8, 24), "attn.Wo": (8, 8), "mlp.Wi": (8, 40), "mlp.Wo": (20, 8)}, ("Wqkv",), ("Wi",), ("mlp.Wo",)),
        ({"attn.c_attn": (8, 24), "attn.c_proj": (8, 8), "mlp.c_fc": (8, 32), "mlp.c_proj": (32, 8)}, ("c_attn",), ("c_fc",), ("mlp.c_proj",)),
        ({"self_attn.o_proj": (12, 8), "self_attn.qkv_proj": (8, 20), "mlp.up": (8, 9), "mlp.down": (9, 8)}, ("qkv_proj",), ("up",), ("down",)),
        ({"Wq": (8, 8), "Wk": (8, 8), "Wv": (8, 8), "dense": (8, 8), "ffn.0": (8, 9), "ffn.2": (9, 8)}, ("Wq", "Wv"), ("ffn.0",), ("ffn.2",)),
        ({**ATTENTION, "fc1": (8, 8), "fc2": (8, 8)}, ("q_proj", "v_proj"), ("fc1",), ("fc2",)),
        ({**ATTENTION, "mlp.Wi": (8, 16), "mlp.Wo": (8, 8)}, ("q_proj", "v_proj"), ("Wi",), ("Wo",)),
        ({**ATTENTION, **dict.fromkeys(GATED, (8, 8))}, ("q_proj", "v_proj"), ("gate_proj", "up_proj"), ("down_proj",)),
        ({f"{name}.linear": size for name, size in {**ATTENTION, **GATED}.items()}, ("q_proj.linear", "v_proj.linear"), None, ("down_proj.linear",)),
    ],
    ids=["modernbert", "gpt2", "output first", "ctrl", "square", "square, fused", "square, gated", "wrapped"],
)
def test_names_and_shapes_of_many_kinds(layers, weights, entering, leaving):
    found = structural_sites(stack(layers), decoder=True)
    assert found.weights.output == weights
    assert found.adapters.output == leaving == found.scaling.input
    assert entering is None or found.adapters.input == entering


def test_latent_attention_is_changed_where_it_widens_again():
    latent = {"q_a_proj": (8, 6), "q_b_proj": (6, 12), "kv_a_proj_with_mqa": (8, 5), "kv_b_proj": (4, 20), "o_proj": (10, 8), "indexer.wq_b": (6, 9)}
    narrow = {"shared_experts.gate_proj": (8, 6), "shared_experts.up_proj": (8, 6), "shared_experts.down_proj": (6, 8)}
    found = structural_sites(stack({**{f"self_attn.{name}": size for name, size in latent.items()}, **narrow}), decoder=True)
    assert found.weights.output == ("q_b_proj", "kv_b_proj")
    assert found.scaling == Sites(output=("kv_b_proj",), input=("down_proj",))


def test_routers_and_gates_of_experts_are_left_alone():
    routed = {"mlp.gate": (8, 3), "mlp.router": (8, 20), "mlp.shared_expert_gate": (8, 1)}
    experts = {f"mlp.experts.{index}.{name}": size for index in (0, 1) for name, size in (("w1", (8, 20)), ("w2", (20, 8)), ("w3", (8, 20)))}
    found = {each.linear.leaf for each in found_layers(stack({**ATTENTION, **routed, **experts}))}
    assert found == {"q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"}


def test_experts_that_are_no_linear_layers_leave_the_attention():
    fused = [*stack({**ATTENTION, "mlp.gate": (8, 3)}), *HEAD]
    assert structural_sites(fused, decoder=True).adapters == Sites(output=("o_proj",))
    some = [*stack({**ATTENTION, **GATED}, depth=1), *[Linear(f"model.layers.1.{name}", *size) for name, size in ATTENTION.items()]]
    assert structural_sites(some, decoder=True).adapters == Sites(input=("gate_proj", "up_proj"), output=("o_proj", "down_proj"))


def test_a_state_space_mixer_is_changed_where_it_begins():
    mixer = {"mixer.in_proj": (8, 32), "mixer.x_proj": (16, 6), "mixer.dt_proj": (2, 16), "mixer.out_proj": (16, 8)}
    found = structural_sites([*stack(mixer), *HEAD], decoder=True)
    assert found.adapters == Sites(input=("in_proj",))
    assert found.weights.names == found.scaling.names == ("in_proj",)


def test_heads_and_projections_outside_blocks_are_left_alone():
    outside = [Linear("patches", 48, 8), Linear("projector.0", 8, 32), Linear("projector.2", 32, 8), Linear("classifier.0.dense", 8, 8), Linear("score", 8, 2)]
    assert found_layers(outside) == []
    assert not structural_sites(outside, decoder=True).weights.names


def test_two_towers_share_names_and_both_are_changed():
    towers = [*stack(ATTENTION | {"mlp.fc1": (8, 20), "mlp.fc2": (20, 8)}, path="vision.layers"), *stack(ATTENTION | GATED, path="text.layers")]
    found = structural_sites(towers, decoder=False)
    assert found.adapters.output == ("o_proj", "fc2", "down_proj")
    assert found.weights.output == ("q_proj", "v_proj")


def test_a_name_that_an_other_layer_has_too_is_longer():
    layers = stack(
        {"attention.self.query": (8, 8), "attention.self.value": (8, 8), "attention.output.dense": (8, 8)} | {"ff.key": (8, 20), "ff.value": (20, 8)}
    )
    assert structural_sites(layers, decoder=False).weights.output == ("query", "self.value")
