"""The layers that each method attaches to, and the message to a name that fits none."""

import pytest

from loretta_core.errors import MethodError
from loretta_core.methods.targets import input_side_names, is_on_input, known_sites, resolve_targets, shortest_names, sites_for
from loretta_core.sites import ARCHITECTURES
from loretta_core.structure import Linear

BERT_PATHS = [
    f"bert.encoder.layer.{index}.{name}"
    for index in (0, 1)
    for name in ("attention.self.query", "attention.self.value", "attention.output.dense", "intermediate.dense", "output.dense")
] + ["classifier"]
WIDE = {"intermediate.dense": (8, 32), "output.dense": (32, 8)}
BERT = [Linear(path, *((8, 8) if "attention" in path else WIDE.get(".".join(path.split(".")[-2:]), (8, 2)))) for path in BERT_PATHS]


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
    assert input_side_names(["k_proj", "mlp.down_proj"], sites=known_sites("llama", "ia3")) == ("mlp.down_proj",)
    assert input_side_names(["k_proj", "mlp.down_proj"], sites=known_sites("llama", "adapters")) == ()
    assert input_side_names(["anything"], sites=known_sites("unknown", "ia3")) == ()


def test_an_architecture_without_an_entry_gets_its_sites_by_the_rule():
    assert sites_for("someone's own", "lora", linears=BERT).names == ("query", "value")
    assert sites_for("someone's own", "adapters", linears=BERT) == sites_for("bert", "adapters")
    assert input_side_names(["key", "output.dense"], sites=known_sites("someone's own", "ia3", linears=BERT)) == ("output.dense",)


def test_models_without_blocks_and_methods_without_sites_are_refused():
    with pytest.raises(MethodError, match=r"no attention or feed-forward block was found .*'convolutions'.*linear layers: classifier"):
        sites_for("convolutions", "lora", linears=BERT[-1:])
    with pytest.raises(MethodError, match="'ft' attaches to no sites"):
        sites_for("bert", "ft")


def test_targets_default_to_the_table():
    assert resolve_targets(None, linears=BERT, method="lora", model_type="bert") == ["query", "value"]
    assert resolve_targets(["output.dense"], linears=BERT, method="lora", model_type="unknown") == ["output.dense"]


def test_a_name_that_matches_nothing_lists_the_names_that_exist():
    with pytest.raises(MethodError) as caught:
        resolve_targets(["query", "valeu"], linears=BERT, method="loretta_rep", model_type="bert")
    assert str(caught.value) == (
        "loretta_rep: target_modules=['query', 'valeu']: ['valeu'] matched no Linear in bert; "
        "names there: attention.self.query, attention.self.value, attention.output.dense, intermediate.dense, output.dense, classifier"
    )


def test_a_name_matches_whole_components_only():
    with pytest.raises(MethodError, match=r"\['uery'\] matched no Linear"):
        resolve_targets(["uery"], linears=BERT, method="lora", model_type="bert")


def test_own_targets_keep_the_side_that_the_architecture_gives_them():
    assert input_side_names(["fc1", "fc2", "layers.0.fc1"], sites=known_sites("opt", "loretta_adp")) == ("fc1", "layers.0.fc1")
    assert input_side_names(["gate_proj", "q_proj"], sites=known_sites("llama", "loretta_adp")) == ("gate_proj",)
    assert input_side_names(["fc1"], sites=known_sites("unknown", "loretta_adp")) == ()


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
    linear = Linear(path, *sizes)
    assert is_on_input(linear, sites=known_sites(model_type, "adapters"), method="adapters") == expected
    assert not is_on_input(linear, sites=known_sites(model_type, "lora"), method="lora")


def test_names_are_as_short_as_they_can_be():
    assert shortest_names(["a.0.fc1", "a.1.fc1"], others=["a.0.fc2"]) == ["fc1"]
    assert shortest_names(["a.0.up.dense"], others=["a.0.down.dense", "a.0.dense"]) == ["up.dense"]
    assert shortest_names([], others=["a"]) == []
    with pytest.raises(MethodError, match="'fc' cannot be told from others"):
        shortest_names(["fc"], others=["block.fc"])
