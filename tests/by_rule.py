"""A tiny config of every architecture of the structural rule, and its models. No two widths of a config are the same, so that none can be mixed up."""

from typing import Any

import transformers
from transformers import AutoConfig, PreTrainedModel

from loretta_core.sites import DECODERS

_SIZES: dict[str, Any] = {
    "vocab_size": 41,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 52,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_TOKENS = {key: value for key, value in _SIZES.items() if key.endswith("token_id") or key == "vocab_size"}
_GROUPED: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2, "head_dim": 12}
_HEADS_AS_USUAL: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2}
_EXPERTS: dict[str, Any] = {**_GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2}
_QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "dropout": 0.0, "attention_dropout": 0.0, "dropout_rate": 0.0}
_LATENT = {"q_lora_rank": 14, "kv_lora_rank": 10, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, "v_head_dim": 7, "n_routed_experts": 3, "n_group": 1}
_PICTURES: dict[str, Any] = {**{key: _SIZES[key] for key in ("num_hidden_layers", "num_attention_heads")}, "hidden_size": 24, "intermediate_size": 44}
_PICTURES |= {"image_size": 16, "patch_size": 8}
_SOUND = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 52, "decoder_ffn_dim": 60}

CONFIGS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("gemma2", "gemma3_text", "olmo", "olmo2", "starcoder2", "cohere", "granite", "smollm3"), _GROUPED),
    "phi3": _HEADS_AS_USUAL,
    "stablelm": _HEADS_AS_USUAL,
    "mixtral": _EXPERTS,
    "qwen3_moe": {**_EXPERTS, "moe_intermediate_size": 24},
    "gpt_oss": _EXPERTS,
    "deepseek_v3": {**_SIZES, **_LATENT, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "first_k_dense_replace": 1},
    "falcon": {**_SIZES, "ffn_hidden_size": 52},
    "gptj": {**_TOKENS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 52, "rotary_dim": 4, "n_positions": 64},
    "bloom": {**_TOKENS, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "gpt_neo": {**_SIZES, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    "mamba": {**_TOKENS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 5},
    **{name: {**_SIZES, **_QUIET} for name in ("modernbert", "mpnet", "camembert", "nomic_bert")},
    "distilbert": {**_TOKENS, **_QUIET, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 52, "max_position_embeddings": 64, "seq_classif_dropout": 0.0},
    "mt5": {**_TOKENS, **_QUIET, "d_model": 32, "d_kv": 10, "d_ff": 52, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0},
    "bart": {**_TOKENS, **_QUIET, **_SOUND, "d_model": 32, "max_position_embeddings": 64, "decoder_start_token_id": 0},
    "vit": _PICTURES,
    "whisper": {**_TOKENS, **_QUIET, **_SOUND, "d_model": 32, "num_mel_bins": 8, "max_source_positions": 10, "decoder_start_token_id": 1},
    "clip": {"text_config": _SIZES, "vision_config": _PICTURES, "projection_dim": 16},
    "llava": {"text_config": {"model_type": "llama", **_GROUPED}, "vision_config": {"model_type": "clip_vision_model", **_PICTURES}, "image_token_index": 3},
    "gemma3": {"text_config": _GROUPED, "vision_config": _PICTURES, "mm_tokens_per_image": 4, "image_token_id": 3},
}
"""model_type → its config"""

MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "cohere-norms": ("cohere", {**_GROUPED, "use_qk_norm": True, "attention_bias": True}),
    "deepseek_v3-plain": ("deepseek_v3", {**CONFIGS["deepseek_v3"], "q_lora_rank": None, "attention_bias": True}),
    "falcon-groups": ("falcon", {**_SIZES, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-plain": ("falcon", {**_SIZES, "multi_query": False, "parallel_attn": False, "bias": True}),
    "gptj-tied": ("gptj", {**CONFIGS["gptj"], "tie_word_embeddings": True}),
    "granite-biased": ("granite", {**_GROUPED, "attention_bias": True, "mlp_bias": True}),
    "mamba-biased": ("mamba", {**CONFIGS["mamba"], "use_bias": True, "use_conv_bias": False}),
    "qwen3_moe-dense": ("qwen3_moe", {**CONFIGS["qwen3_moe"], "mlp_only_layers": [0]}),
    "stablelm-parallel": ("stablelm", {**_HEADS_AS_USUAL, "use_parallel_residual": True, "use_qkv_bias": True}),
    "bart-untied": ("bart", {**CONFIGS["bart"], "tie_word_embeddings": False, "encoder_layers": 1}),
    "modernbert-biased": (
        "modernbert",
        {**_SIZES, **dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), True), "decoder_bias": False},
    ),
    **{f"{name}-untied": (name, {**CONFIGS[name], "tie_word_embeddings": False}) for name in ("gemma2", "modernbert", "mpnet", "nomic_bert", "distilbert")},
}
"""Options that change which layers there are: name → (model_type, config)."""

_CLASSES: dict[str, Any] = {
    "SEQ_CLS": transformers.AutoModelForSequenceClassification,
    "CAUSAL_LM": transformers.AutoModelForCausalLM,
    "MASKED_LM": transformers.AutoModelForMaskedLM,
    "SEQ_2_SEQ_LM": transformers.AutoModelForSeq2SeqLM,
}
_OTHER_CLASSES: dict[str, Any] = {
    "vit": transformers.ViTForImageClassification,
    "whisper": transformers.WhisperForConditionalGeneration,
    "clip": transformers.CLIPModel,
    "llava": transformers.LlavaForConditionalGeneration,
    "gemma3": transformers.Gemma3ForConditionalGeneration,
}
NOT_TEXT = tuple(_OTHER_CLASSES)
_NO_CLASSIFIER = ("cohere", "granite", "mamba")
"""Decoders without a classification model in transformers."""


def tasks_of(model_type: str) -> list[str]:
    """Return the task types that transformers has a model of this type for."""
    if model_type in ("mt5", "bart"):
        return ["SEQ_CLS", "SEQ_2_SEQ_LM"]
    return [*(["SEQ_CLS"] if model_type not in _NO_CLASSIFIER else []), "CAUSAL_LM" if model_type in DECODERS else "MASKED_LM"]


def build(model_type: str, *, task_type: str | None = None, labels: int = 3, **more: Any) -> PreTrainedModel:
    """Return a random model with the head of `task_type` (None: any), or of their own class those that read more than text. On meta it has no values."""
    fields = {**CONFIGS[model_type], **more}
    if model_type in _OTHER_CLASSES:
        return _OTHER_CLASSES[model_type](AutoConfig.for_model(model_type, **fields))
    return _CLASSES[task_type or tasks_of(model_type)[-1]].from_config(AutoConfig.for_model(model_type, num_labels=labels, **fields))
