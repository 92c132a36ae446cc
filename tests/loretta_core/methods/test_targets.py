"""The layers that each method attaches to, and the message to a name that fits none."""

import pytest

from loretta_core.errors import MethodError
from loretta_core.methods.targets import input_side_names, is_on_input, resolve_targets, shortest_names, sites_for
from loretta_core.sites import ARCHITECTURES

BERT_PATHS = [
    f"bert.encoder.layer.{index}.{name}"
    for index in (0, 1)
    for name in ("attention.self.query", "attention.self.value", "attention.output.dense", "intermediate.dense", "output.dense")
] + ["classifier"]


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_has_both_kinds_of_sites(model_type):
    assert sites_for(model_type, "loretta_adp") == sites_for(model_type, "adapters")
    assert sites_for(model_type, "loretta_rep") == sites_for(model_type, "lora")
    assert sites_for(model_type, "loretta_adp").names
    assert sites_for(model_type, "lora").names
    assert not sites_for(model_type, "lora").input
    assert sites_for(model_type, "ia3").output
    assert sites_for(model_type, "ia3").input


@pytest.mark.parametrize(
    ("model_type", "on_input", "on_output", "weights"),
    [
        ("bert", (), ("output.dense",), ("query", "value")),
        ("deberta", (), ("output.dense",), ("in_proj",)),
        ("opt", ("fc1",), ("fc2",), ("q_proj", "v_proj")),
        ("llama", ("gate_proj", "up_proj"), ("down_proj",), ("q_proj", "v_proj")),
    ],
)
def test_sites_of_the_authors(model_type, on_input, on_output, weights):
    adapters = sites_for(model_type, "loretta_adp")
    assert (adapters.input, adapters.output) == (on_input, on_output)
    assert sites_for(model_type, "loretta_rep").names == weights


@pytest.mark.parametrize(
    ("model_type", "scaled_output", "scaled_input"),
    [
        ("bert", ("key", "value"), ("output.dense",)),
        ("albert", ("key", "value"), ("ffn_output",)),
        ("llama", ("k_proj", "v_proj"), ("down_proj",)),
        ("gpt2", ("c_attn",), ("mlp.c_proj",)),
        ("t5", ("k", "v"), ("wo",)),
    ],
)
def test_ia3_scales_keys_values_and_what_enters_the_last_layer(model_type, scaled_output, scaled_input):
    sites = sites_for(model_type, "ia3")
    assert (sites.output, sites.input) == (scaled_output, scaled_input)


def test_a_users_targets_keep_the_side_of_the_table():
    assert input_side_names(["k_proj", "mlp.down_proj"], model_type="llama", method="ia3") == ("mlp.down_proj",)
    assert input_side_names(["k_proj", "mlp.down_proj"], model_type="llama", method="adapters") == ()
    assert input_side_names(["anything"], model_type="unknown", method="ia3") == ()


def test_unknown_architectures_and_methods_are_refused():
    with pytest.raises(MethodError, match=r"'mamba'; set `target_modules`.*Known architectures: bert, "):
        sites_for("mamba", "lora")
    with pytest.raises(MethodError, match="'ft' attaches to no sites"):
        sites_for("bert", "ft")


def test_targets_default_to_the_table():
    assert resolve_targets(None, linear_paths=BERT_PATHS, method="lora", model_type="bert") == ["query", "value"]
    assert resolve_targets(["output.dense"], linear_paths=BERT_PATHS, method="lora", model_type="unknown") == ["output.dense"]


def test_a_name_that_matches_nothing_lists_the_names_that_exist():
    with pytest.raises(MethodError) as caught:
        resolve_targets(["query", "valeu"], linear_paths=BERT_PATHS, method="loretta_rep", model_type="bert")
    assert str(caught.value) == (
        "loretta_rep: target_modules=['query', 'valeu']: ['valeu'] matched no Linear in bert; "
        "names there: attention.self.query, attention.self.value, attention.output.dense, intermediate.dense, output.dense, classifier"
    )


def test_a_name_matches_whole_components_only():
    with pytest.raises(MethodError, match=r"\['uery'\] matched no Linear"):
        resolve_targets(["uery"], linear_paths=BERT_PATHS, method="lora", model_type="bert")


def test_an_unknown_architecture_lists_its_linear_layers():
    paths = ["layers.0.mixer.in_proj", "layers.1.mixer.in_proj", "layers.0.mixer.out_proj"]
    with pytest.raises(MethodError, match=r"architecture 'mamba'; set `target_modules` to some of its linear layers: mixer.in_proj, mixer.out_proj"):
        resolve_targets(None, linear_paths=paths, method="lora", model_type="mamba")


def test_own_targets_keep_the_side_that_the_architecture_gives_them():
    assert input_side_names(["fc1", "fc2", "layers.0.fc1"], model_type="opt", method="loretta_adp") == ("fc1", "layers.0.fc1")
    assert input_side_names(["gate_proj", "q_proj"], model_type="llama", method="loretta_adp") == ("gate_proj",)
    assert input_side_names(["fc1"], model_type="unknown", method="loretta_adp") == ()


@pytest.mark.parametrize(
    ("model_type", "path", "sizes", "expected"),
    [
        ("llama", "model.layers.0.mlp.up_proj", (32, 64), True),
        ("opt", "model.decoder.layers.0.fc1", (32, 32), True),  # the table knows what a square does not show
        ("opt", "model.decoder.layers.0.fc2", (32, 32), False),
        ("bert", "bert.encoder.layer.0.intermediate.dense", (32, 64), True),  # not in the table
        ("bert", "bert.encoder.layer.0.output.dense", (64, 32), False),
        ("newcomer", "blocks.0.widen", (32, 64), True),
        ("newcomer", "blocks.0.narrow", (64, 32), False),
        ("newcomer", "blocks.0.attention", (32, 32), False),
    ],
)
def test_adapters_sit_on_the_side_of_the_hidden_width(model_type, path, sizes, expected):
    in_features, out_features = sizes
    assert is_on_input(path, in_features=in_features, out_features=out_features, model_type=model_type, method="adapters") == expected
    assert not is_on_input(path, in_features=in_features, out_features=out_features, model_type=model_type, method="lora")


def test_names_are_as_short_as_they_can_be():
    assert shortest_names(["a.0.fc1", "a.1.fc1"], others=["a.0.fc2"]) == ["fc1"]
    assert shortest_names(["a.0.up.dense"], others=["a.0.down.dense", "a.0.dense"]) == ["up.dense"]
    assert shortest_names([], others=["a"]) == []
    with pytest.raises(MethodError, match="'fc' cannot be told from others"):
        shortest_names(["fc"], others=["block.fc"])
