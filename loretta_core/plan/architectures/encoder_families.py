"""Encoders and encoder-decoders as rows (`rows.py`): ModernBERT, MPNet, Nomic BERT, DistilBERT, BART.

Camembert is a RoBERTa and mT5 a T5; their layers are in `encoders.py`.
"""

from __future__ import annotations

from typing import Any

from loretta_core.plan.architectures.family import Family

_MODERNBERT = """
norm attn_norm hidden bias=norm_bias unless=first
linear attn.Wqkv hidden 3*hidden bias=attention_bias
linear attn.Wo hidden hidden bias=attention_bias
norm mlp_norm hidden bias=norm_bias
linear mlp.Wi hidden 2*inner bias=mlp_bias
linear mlp.Wo inner hidden bias=mlp_bias
"""
_MODERNBERT_HEAD = """
linear head.dense hidden hidden bias=classifier_bias
norm head.norm hidden bias=norm_bias
"""
_MPNET = """
linear attention.attn.q hidden hidden bias
linear attention.attn.k hidden hidden bias
linear attention.attn.v hidden hidden bias
linear attention.attn.o hidden hidden bias
norm attention.LayerNorm hidden bias
linear intermediate.dense hidden inner bias
linear output.dense inner hidden bias
norm output.LayerNorm hidden bias
"""
_NOMIC = """
norm post_attention_layernorm hidden bias
linear mlp.gate_proj hidden inner
linear mlp.up_proj hidden inner
linear mlp.down_proj inner hidden
linear self_attn.q_proj hidden queries
linear self_attn.k_proj hidden queries
linear self_attn.v_proj hidden queries
linear self_attn.o_proj queries hidden
norm post_mlp_layernorm hidden bias
"""
_DISTILBERT = """
linear attention.q_lin hidden hidden bias
linear attention.k_lin hidden hidden bias
linear attention.v_lin hidden hidden bias
linear attention.out_lin hidden hidden bias
norm sa_layer_norm hidden bias
linear ffn.lin1 hidden inner bias
linear ffn.lin2 inner hidden bias
norm output_layer_norm hidden bias
"""
_SELF_ATTENTION = """
linear self_attn.k_proj hidden hidden bias
linear self_attn.v_proj hidden hidden bias
linear self_attn.q_proj hidden hidden bias
linear self_attn.out_proj hidden hidden bias
norm self_attn_layer_norm hidden bias
"""
_BART_ENCODER = f"""{_SELF_ATTENTION}
linear fc1 hidden encoder_ffn_dim bias
linear fc2 encoder_ffn_dim hidden bias
norm final_layer_norm hidden bias
"""
_BART_DECODER = f"""{_SELF_ATTENTION}{_SELF_ATTENTION.replace("self_attn", "encoder_attn")}
linear fc1 hidden decoder_ffn_dim bias
linear fc2 decoder_ffn_dim hidden bias
norm final_layer_norm hidden bias
"""


def _modernbert_numbers(found: dict[str, Any]) -> dict[str, Any]:
    return {"tied_bias": found["tie_word_embeddings"] and found["decoder_bias"]}


def _first(found: dict[str, Any], index: int) -> dict[str, Any]:
    return {"first": index == 0}


ENCODER_FAMILIES: dict[str, Family] = {
    "modernbert": Family(
        stem="embedding model.embeddings.tok_embeddings vocab_size hidden\nnorm model.embeddings.norm hidden bias=norm_bias",
        stacks={"model.layers": _MODERNBERT},
        ends=f"norm model.final_norm hidden bias=norm_bias\n{_MODERNBERT_HEAD}",
        language_model="""
        linear decoder hidden vocab_size bias=decoder_bias unless=tie_word_embeddings
        tensor decoder.bias vocab_size bias if=tied_bias
        """,
        classifier="linear classifier hidden labels bias",
        defaults={"decoder_bias": True},
        derived=_modernbert_numbers,
        of_block=_first,
    ),
    "mpnet": Family(
        stem="""
        embedding mpnet.embeddings.word_embeddings vocab_size hidden
        embedding mpnet.embeddings.position_embeddings positions hidden
        norm mpnet.embeddings.LayerNorm hidden bias
        """,
        stacks={"mpnet.encoder.layer": _MPNET},
        ends="embedding mpnet.encoder.relative_attention_bias relative_attention_num_buckets heads",
        language_model="""
        linear lm_head.dense hidden hidden bias
        norm lm_head.layer_norm hidden bias
        tensor lm_head.bias vocab_size bias
        linear lm_head.decoder hidden vocab_size bias unless=tie_word_embeddings
        """,
        classifier="linear classifier.dense hidden hidden bias\nlinear classifier.out_proj hidden labels bias",
        defaults={"max_position_embeddings": 512, "relative_attention_num_buckets": 32},
    ),
    "nomic_bert": Family(
        stem="""
        embedding nomic_bert.embeddings.word_embeddings vocab_size hidden
        embedding nomic_bert.embeddings.token_type_embeddings type_vocab_size hidden
        norm nomic_bert.embeddings.LayerNorm hidden bias
        """,
        stacks={"nomic_bert.layers": _NOMIC},
        ends="",
        language_model="""
        linear cls.predictions.transform.dense hidden hidden bias
        norm cls.predictions.transform.layer_norm hidden bias
        tensor cls.predictions.bias vocab_size bias
        linear cls.predictions.decoder hidden vocab_size bias unless=tie_word_embeddings
        """,
        classifier="linear nomic_bert.pooler.dense hidden hidden bias\nlinear classifier hidden labels bias",
        defaults={"type_vocab_size": 2},
    ),
    "distilbert": Family(
        stem="""
        embedding distilbert.embeddings.word_embeddings vocab_size hidden
        embedding distilbert.embeddings.position_embeddings positions hidden
        norm distilbert.embeddings.LayerNorm hidden bias
        """,
        stacks={"distilbert.transformer.layer": _DISTILBERT},
        ends="",
        language_model="""
        linear vocab_transform hidden hidden bias
        norm vocab_layer_norm hidden bias
        linear vocab_projector hidden vocab_size bias unless=tie_word_embeddings
        tensor vocab_projector.bias vocab_size bias if=tie_word_embeddings
        """,
        classifier="linear pre_classifier hidden hidden bias\nlinear classifier hidden labels bias",
        defaults={"max_position_embeddings": 512},
    ),
    "bart": Family(
        stem="""
        embedding model.shared vocab_size hidden
        embedding model.encoder.embed_tokens vocab_size hidden unless=tie_word_embeddings
        embedding model.decoder.embed_tokens vocab_size hidden unless=tie_word_embeddings
        embedding model.encoder.embed_positions positions+2 hidden
        embedding model.decoder.embed_positions positions+2 hidden
        norm model.encoder.layernorm_embedding hidden bias
        norm model.decoder.layernorm_embedding hidden bias
        """,
        stacks={"model.encoder.layers": _BART_ENCODER, "model.decoder.layers": _BART_DECODER},
        ends="",
        language_model="linear lm_head hidden vocab_size unless=tie_word_embeddings",
        classifier="linear classification_head.dense hidden hidden bias\nlinear classification_head.out_proj hidden labels bias",
        defaults={"max_position_embeddings": 1024},
        depths={"model.encoder.layers": "encoder_layers", "model.decoder.layers": "decoder_layers"},
    ),
}
