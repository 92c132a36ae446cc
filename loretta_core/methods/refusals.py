"""Reasons why a method does not work on an architecture that several methods share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_CACHE = "its attention takes no keys and values from outside (no past_key_values)"
NARROW = "its word embeddings are narrower than its layers, and PEFT makes prompts of the layers' width"
IDS_ONLY = "its classifier finds the end of the text in the token ids, and a prompt is passed as embeddings"
NO_BIAS = "it has no bias terms"
READ_PAST = "its mixers read biases past the layers that hold them"
STATE_SPACE = (
    "mamba", "falcon_mamba", "mamba2", "jamba", "falcon_h1", "bamba", "zamba", "zamba2", "nemotron_h", "granitemoehybrid",
)  # fmt: skip
"""Architectures with mixers of Mamba's kind, whose fused kernels take weight and bias of the convolution and not its result."""
LAST_POSITION = "the head finds the last token in the token ids, and without them reads the last position, which in a padded batch is padding"


def embeddings_are_narrow(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json gives the word embeddings another width than the layers."""
    hidden = config.get("hidden_size")
    return hidden != config.get("embedding_size", hidden) or hidden != config.get("word_embed_proj_dim", hidden)
