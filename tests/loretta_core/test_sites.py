"""The tables of layers per architecture, and how their names match paths."""

import pytest

from loretta_core.sites import ARCHITECTURES, ATTACHMENTS, BY_RULE, DECODERS, HEAD_LAYERS, candidate_names, matching


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_has_layers_for_every_attachment(model_type):
    assert all(ARCHITECTURES[model_type].sites(attachment).names for attachment in ATTACHMENTS)


def test_decoders_and_heads_are_known_architectures():
    assert {*DECODERS, *HEAD_LAYERS} < ARCHITECTURES.keys() | BY_RULE.keys()
    assert not ARCHITECTURES.keys() & BY_RULE.keys()


def test_a_path_matches_its_own_name_and_whole_ends():
    assert matching(["h.0.attn.c", "h.0.c", "c", "h.0.xc"], target="c") == ["h.0.attn.c", "h.0.c", "c"]


def test_candidate_names_are_what_follows_the_layer_index():
    assert candidate_names(["h.0.attn.c", "h.1.attn.c", "head"]) == ["attn.c", "head"]
