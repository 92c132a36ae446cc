"""Decoders as rows (`rows.py`): Gemma 2 and 3, Phi-3, OLMo, StableLM, StarCoder2, Cohere, Granite, SmolLM3, mixtures of experts, Falcon, GPT-J, BLOOM, Mamba.

The language-model head is left out where it is the input embedding (`tie_word_embeddings`).
"""

from __future__ import annotations

import math
from typing import Any

from loretta_core.plan.architectures.family import Family

_SCORE = "linear score hidden labels"
_LM_HEAD = "linear lm_head hidden vocab_size unless=tie_word_embeddings"
_UNTIED = {"tie_word_embeddings": False}

_ATTENTION = """
linear self_attn.q_proj hidden queries bias=attention_bias
linear self_attn.k_proj hidden keys bias=attention_bias
linear self_attn.v_proj hidden keys bias=attention_bias
linear self_attn.o_proj queries hidden bias=attention_bias
"""
_GATED = """
linear mlp.gate_proj hidden inner bias=mlp_bias
linear mlp.up_proj hidden inner bias=mlp_bias
linear mlp.down_proj inner hidden bias=mlp_bias
"""
_NORMS = """
norm input_layernorm hidden
norm post_attention_layernorm hidden
"""
_GEMMA_NORMS = f"""{_NORMS}
norm pre_feedforward_layernorm hidden
norm post_feedforward_layernorm hidden
"""
_HEAD_NORMS = """
norm self_attn.q_norm head
norm self_attn.k_norm head
"""


def _as_llama(block: str, *, ends: str = "norm model.norm hidden", **more: Any) -> Family:
    """Return a decoder with Llama's names around its blocks."""
    return Family(
        stem="embedding model.embed_tokens vocab_size hidden",
        stacks={"model.layers": block},
        ends=ends,
        language_model=_LM_HEAD,
        classifier=_SCORE,
        **more,
    )


_OLMO_2 = f"""{_ATTENTION}{_GATED}
norm self_attn.q_norm queries
norm self_attn.k_norm keys
norm post_attention_layernorm hidden
norm post_feedforward_layernorm hidden
"""
_PHI_3 = f"""
linear self_attn.o_proj queries hidden
linear self_attn.qkv_proj hidden queries+2*keys
linear mlp.gate_up_proj hidden 2*inner
linear mlp.down_proj inner hidden
{_NORMS}"""
_STABLELM = f"""
linear self_attn.q_proj hidden queries bias=use_qkv_bias
linear self_attn.k_proj hidden keys bias=use_qkv_bias
linear self_attn.v_proj hidden keys bias=use_qkv_bias
linear self_attn.o_proj hidden hidden
{_GATED}
norm input_layernorm hidden bias
norm post_attention_layernorm hidden bias unless=use_parallel_residual
"""
_STARCODER_2 = """
linear self_attn.q_proj hidden queries bias=use_bias
linear self_attn.k_proj hidden keys bias=use_bias
linear self_attn.v_proj hidden keys bias=use_bias
linear self_attn.o_proj queries hidden bias=use_bias
linear mlp.c_fc hidden inner bias=use_bias
linear mlp.c_proj inner hidden bias=use_bias
norm input_layernorm hidden bias
norm post_attention_layernorm hidden bias
"""
_COHERE = f"""{_ATTENTION}{_GATED}
norm self_attn.q_norm queries if=use_qk_norm
norm self_attn.k_norm keys if=use_qk_norm
norm input_layernorm hidden
"""
_EXPERTS = """
tensor mlp.gate.weight experts hidden if=sparse
tensor mlp.experts.gate_up_proj experts 2*expert*hidden if=sparse
tensor mlp.experts.down_proj experts expert*hidden if=sparse
"""
_DENSE = _GATED.replace("bias=mlp_bias", "unless=sparse")
_GPT_OSS = f"""{_ATTENTION}{_NORMS}
tensor self_attn.sinks heads
tensor mlp.router.weight experts hidden
tensor mlp.router.bias experts bias
tensor mlp.experts.gate_up_proj experts 2*expert*hidden
tensor mlp.experts.gate_up_proj_bias experts 2*expert bias
tensor mlp.experts.down_proj experts expert*hidden
tensor mlp.experts.down_proj_bias experts hidden bias
"""
_DEEPSEEK_V3 = f"""
linear self_attn.q_proj hidden heads*query unless=q_lora_rank
linear self_attn.q_a_proj hidden q_lora_rank bias=attention_bias if=q_lora_rank
norm self_attn.q_a_layernorm q_lora_rank if=q_lora_rank
linear self_attn.q_b_proj q_lora_rank heads*query if=q_lora_rank
linear self_attn.kv_a_proj_with_mqa hidden kv_lora_rank+qk_rope_head_dim bias=attention_bias
norm self_attn.kv_a_layernorm kv_lora_rank
linear self_attn.kv_b_proj kv_lora_rank heads*qk_nope_head_dim+heads*v_head_dim
linear self_attn.o_proj heads*v_head_dim hidden bias=attention_bias
{_DENSE}{_EXPERTS}
linear mlp.shared_experts.gate_proj hidden n_shared_experts*expert if=sparse
linear mlp.shared_experts.up_proj hidden n_shared_experts*expert if=sparse
linear mlp.shared_experts.down_proj n_shared_experts*expert hidden if=sparse
{_NORMS}"""


def _experts(found: dict[str, Any]) -> dict[str, Any]:
    """Return how many experts there are and how wide one is, under the keys that configs have for them; `usual_experts` is transformers' default."""
    counts = (found.get(key) for key in ("num_experts", "num_local_experts", "n_routed_experts", "usual_experts"))
    return {"experts": next((count for count in counts if count is not None), None), "expert": found.get("moe_intermediate_size") or found["inner"]}


def _always_sparse(found: dict[str, Any], index: int) -> dict[str, Any]:
    return {"sparse": True}


def _sparse_by_step(found: dict[str, Any], index: int) -> dict[str, Any]:
    on_step = (index + 1) % (found.get("decoder_sparse_step") or 1) == 0
    return {"sparse": bool(found["experts"]) and on_step and index not in (found.get("mlp_only_layers") or ())}


def _sparse_after_first(found: dict[str, Any], index: int) -> dict[str, Any]:
    return {"sparse": index >= found["first_k_dense_replace"]}


def _deepseek_widths(found: dict[str, Any]) -> dict[str, Any]:
    # The attention makes whole queries and keys for every head, whatever the config says of key-value heads.
    query = found["qk_nope_head_dim"] + found["qk_rope_head_dim"]
    return {**_experts(found), "query": query, "keys": found["heads"] * query}


def _as_gpt2(block: str, *, stem: str = "embedding transformer.wte vocab_size hidden", language_model: str = _LM_HEAD, **more: Any) -> Family:
    """Return a decoder with GPT-2's names around its blocks."""
    return Family(
        stem=stem,
        stacks={"transformer.h": block},
        ends="norm transformer.ln_f hidden bias",
        language_model=language_model,
        classifier=_SCORE,
        **more,
    )


_FALCON = """
linear self_attention.query_key_value hidden fused bias=bias
linear self_attention.dense hidden hidden bias=bias
linear mlp.dense_h_to_4h hidden inner bias=bias
linear mlp.dense_4h_to_h inner hidden bias=bias
norm ln_attn hidden bias if=two_norms
norm ln_mlp hidden bias if=two_norms
norm input_layernorm hidden bias unless=two_norms
norm post_attention_layernorm hidden bias unless=parallel_attn
"""
_GPT_J = """
norm ln_1 hidden bias
linear attn.k_proj hidden hidden
linear attn.v_proj hidden hidden
linear attn.q_proj hidden hidden
linear attn.out_proj hidden hidden
linear mlp.fc_in hidden inner bias
linear mlp.fc_out inner hidden bias
"""
_BLOOM = """
norm input_layernorm hidden bias
linear self_attention.query_key_value hidden 3*hidden bias
linear self_attention.dense hidden hidden bias
norm post_attention_layernorm hidden bias
linear mlp.dense_h_to_4h hidden 4*hidden bias
linear mlp.dense_4h_to_h 4*hidden hidden bias
"""
_GPT_NEO = """
norm ln_1 hidden bias
linear attn.attention.k_proj hidden hidden
linear attn.attention.v_proj hidden hidden
linear attn.attention.q_proj hidden hidden
linear attn.attention.out_proj hidden hidden bias
norm ln_2 hidden bias
linear mlp.c_fc hidden inner bias
linear mlp.c_proj inner hidden bias
"""
_MAMBA = """
norm norm hidden
tensor mixer.A_log mixed state_size
tensor mixer.D mixed
tensor mixer.conv1d.weight mixed conv_kernel
tensor mixer.conv1d.bias mixed bias if=use_conv_bias
linear mixer.in_proj hidden 2*mixed bias=use_bias
linear mixer.x_proj mixed time_step_rank+2*state_size
linear mixer.dt_proj time_step_rank mixed bias
linear mixer.out_proj mixed hidden bias=use_bias
"""


def _falcon_widths(found: dict[str, Any]) -> dict[str, Any]:
    heads, head, new = found["heads"], found["head"], found.get("new_decoder_architecture")
    groups = found.get("num_kv_heads") or heads
    fused = (heads + 2 * groups) * head if new else found["hidden"] + 2 * head if found["multi_query"] else 3 * found["hidden"]
    norms = found.get("num_ln_in_parallel_attn") or (2 if new else 1)
    return {"fused": fused, "inner": found.get("ffn_hidden_size") or 4 * found["hidden"], "two_norms": found["parallel_attn"] and norms == 2}


def _mamba_widths(found: dict[str, Any]) -> dict[str, Any]:
    rank = found.get("time_step_rank", "auto")
    return {"mixed": int(found["expand"] * found["hidden"]), "time_step_rank": math.ceil(found["hidden"] / 16) if rank == "auto" else rank}


_GEMMA = {"head_dim": 256, "num_key_value_heads": 4}
_MOE = {**_UNTIED, "num_key_value_heads": 8}
DECODER_FAMILIES: dict[str, Family] = {
    "gemma2": _as_llama(f"{_ATTENTION}{_GATED}{_GEMMA_NORMS}", defaults=_GEMMA),
    "gemma3_text": _as_llama(f"{_ATTENTION}{_HEAD_NORMS}{_GATED}{_GEMMA_NORMS}", defaults=_GEMMA),
    "phi3": _as_llama(_PHI_3, defaults=_UNTIED),
    "olmo": _as_llama(f"{_ATTENTION}{_GATED}", ends="", defaults=_UNTIED),
    "olmo2": _as_llama(_OLMO_2, defaults=_UNTIED),
    "stablelm": _as_llama(_STABLELM, ends="norm model.norm hidden bias", defaults={**_UNTIED, "num_key_value_heads": 32}),
    "starcoder2": _as_llama(_STARCODER_2, ends="norm model.norm hidden bias", defaults={"use_bias": True, "num_key_value_heads": 2}),
    "cohere": _as_llama(_COHERE),
    "granite": _as_llama(f"{_ATTENTION}{_GATED}{_NORMS}", defaults=_UNTIED),
    "smollm3": _as_llama(f"{_ATTENTION}{_GATED}{_NORMS}", defaults={"num_key_value_heads": 4}),
    "mixtral": _as_llama(f"{_ATTENTION}{_EXPERTS}{_NORMS}", defaults={**_MOE, "usual_experts": 8}, derived=_experts, of_block=_always_sparse),
    "qwen3_moe": _as_llama(
        f"{_ATTENTION}{_HEAD_NORMS}{_DENSE}{_EXPERTS}{_NORMS}",
        defaults={**_UNTIED, "num_key_value_heads": 4, "moe_intermediate_size": 768, "usual_experts": 128},
        derived=_experts,
        of_block=_sparse_by_step,
    ),
    "gpt_oss": _as_llama(_GPT_OSS, defaults={**_MOE, "head_dim": 64, "usual_experts": 128, "attention_bias": True}, derived=_experts),
    "deepseek_v3": _as_llama(
        _DEEPSEEK_V3,
        defaults={
            **_UNTIED,
            "moe_intermediate_size": 2048,
            "n_shared_experts": 1,
            "usual_experts": 256,
            "kv_lora_rank": 512,
            "q_lora_rank": 1536,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "qk_nope_head_dim": 128,
            "first_k_dense_replace": 3,
        },
        derived=_deepseek_widths,
        of_block=_sparse_after_first,
    ),
    "falcon": _as_gpt2(
        _FALCON,
        stem="embedding transformer.word_embeddings vocab_size hidden",
        defaults={"multi_query": True, "parallel_attn": True},
        derived=_falcon_widths,
    ),
    "gptj": _as_gpt2(
        _GPT_J,
        language_model="linear lm_head hidden vocab_size bias unless=tie_word_embeddings\ntensor lm_head.bias vocab_size bias if=tie_word_embeddings",
        defaults=_UNTIED,
    ),
    "bloom": _as_gpt2(_BLOOM, stem="embedding transformer.word_embeddings vocab_size hidden\nnorm transformer.word_embeddings_layernorm hidden bias"),
    "gpt_neo": _as_gpt2(
        _GPT_NEO,
        stem="embedding transformer.wte vocab_size hidden\nembedding transformer.wpe positions hidden",
        defaults={"max_position_embeddings": 2048},
    ),
    "mamba": Family(
        stem="embedding backbone.embeddings vocab_size hidden",
        stacks={"backbone.layers": _MAMBA},
        ends="norm backbone.norm_f hidden",
        language_model=_LM_HEAD,
        classifier=_SCORE,
        defaults={"state_size": 16, "expand": 2, "conv_kernel": 4, "use_conv_bias": True},
        derived=_mamba_widths,
    ),
}
