"""Places of layers in the grid of blocks and matrices, and heads of matrices."""

import pytest

from loretta_core.errors import MethodError
from loretta_core.methods.grid import AttachedLayer, head_width, layer_grid, split_heads, split_path


@pytest.mark.parametrize(
    ("path", "block", "matrix"),
    [
        ("bert.encoder.layer.3.attention.self.query", "bert.encoder.layer.3", "attention.self.query"),
        ("decoder.block.1.layer.0.SelfAttention.q", "decoder.block.1", "layer.0.SelfAttention.q"),
        ("pooler.dense", "", "pooler.dense"),
    ],
)
def test_a_path_splits_behind_its_first_number(path, block, matrix):
    assert split_path(path) == (block, matrix)


def test_a_grid_has_each_block_matrix_and_width_once():
    attached = [AttachedLayer(f"h.{layer}.{name}", 16, out) for layer in range(3) for name, out in (("q", 16), ("v", 8))]
    grid = layer_grid(attached)
    assert (len(grid.blocks), len(grid.matrices), grid.in_widths, grid.out_widths) == (3, 2, (16,), (16, 8))
    assert [grid.place(layer.path) for layer in attached] == [(layer, matrix) for layer in range(3) for matrix in range(2)]


@pytest.mark.parametrize(
    ("path", "split"),
    [("h.0.self_attn.q_proj", (24, 4, False)), ("h.0.self_attn.o_proj", (32, 3, True)), ("h.0.attention.output.dense", (32, 3, True))],
)
def test_the_output_projection_reads_heads_and_the_others_write_them(path, split):
    assert split_heads(AttachedLayer(path, 24, 32), head_width=8) == split


def test_a_matrix_without_heads_is_refused():
    with pytest.raises(MethodError, match="does not split into attention heads of width 7"):
        split_heads(AttachedLayer("h.0.q_proj", 24, 32), head_width=7)
    with pytest.raises(MethodError, match="give `head_width`"):
        split_heads(AttachedLayer("h.0.q_proj", 24, 32), head_width=None)


@pytest.mark.parametrize(
    ("config", "width"),
    [
        ({"hidden_size": 32, "num_attention_heads": 4}, 8),
        ({"n_embd": 32, "n_head": 2}, 16),
        ({"d_model": 32, "d_kv": 5}, 5),
        ({"head_dim": 6, "hidden_size": 32}, 6),
        ({"dim": 32, "n_heads": 4}, 8),
        ({"d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4}, 8),
        ({"d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 2}, None),
        ({}, None),
    ],
)
def test_the_width_of_a_head(config, width):
    assert head_width(config) == width
