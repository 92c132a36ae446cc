"""Scores all candidates of a prompt with the prompt computed once: its keys and values are cached and every candidate continues from them.

    P prompt tokens, C candidates of A tokens: P + C·A tokens instead of C·(P + A)

Used for scoring only; training needs the whole graph of each sequence. Prompts of several rows are padded on the right, so a candidate's place in the cache is
not its position in the text: positions are given, and the padding between is masked. The slow twin is `answer_scores` on whole sequences.

R rows, P longest prompt, S sequences (all candidates of all rows), A longest rest, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from peft import PeftModel
from torch import Tensor, nn

from loretta_core.tasks.base import Example
from loretta_core.tasks.formats.answer_scores import mean_log_probability

ARCHITECTURES = ("llama", "opt", "phi", "qwen2", "qwen3", "gpt2", "gpt_neox", "gemma")
"""Model types that take positions and a cache with masked gaps; a test compares each with its twin. Mistral's sliding window would count the gaps."""


def can_share(model: nn.Module) -> bool:
    """Return True if the model can continue from a cache: a listed architecture, without prompt or prefix tuning, which add tokens before the text."""
    if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
        return False
    config: Any = model.config
    return config.model_type in ARCHITECTURES


def shared_length(example: Example) -> int:
    """Return the number of tokens that all choices of a row begin with, without the last one before an answer, which predicts the answer's first token."""
    sequences = [choice.tokens for choice in example.choices]
    limit = min(len(choice.tokens) - choice.scored for choice in example.choices) - 1
    first = sequences[0]
    return next((place for place in range(limit) if any(tokens[place] != first[place] for tokens in sequences)), max(0, limit))


def shared_scores(model: Any, examples: Sequence[Example], *, device: torch.device) -> Float[Tensor, " S"]:
    """Return the mean fp32 log-probability of the answer tokens of each choice, row by row. Every row must share at least one token (`shared_length`)."""
    lengths = [shared_length(example) for example in examples]
    prompts_RP, real_RP = _padded([example.choices[0].tokens[:length] for example, length in zip(examples, lengths, strict=True)], device)
    cache = model(input_ids=prompts_RP, attention_mask=real_RP, use_cache=True).past_key_values
    row_S = torch.tensor([row for row, example in enumerate(examples) for _ in example.choices], device=device)
    cache.batch_select_indices(row_S)
    rests = [(choice.tokens[length:], choice.scored) for example, length in zip(examples, lengths, strict=True) for choice in example.choices]
    rests_SA, real_SA = _padded([tokens for tokens, _ in rests], device)
    starts_S = torch.tensor(lengths, device=device)[row_S]
    logits_SAV = model(
        input_ids=rests_SA,
        attention_mask=torch.cat([real_RP[row_S], real_SA], dim=1),
        position_ids=starts_S[:, None] + torch.arange(rests_SA.shape[1], device=device),
        past_key_values=cache,
        use_cache=True,
    ).logits
    return mean_log_probability(logits_SAV, rests_SA, real_SA, scored_S=torch.tensor([scored for _, scored in rests], device=device))


def _padded(sequences: Sequence[list[int]], device: torch.device) -> tuple[Int[Tensor, "S L"], Int[Tensor, "S L"]]:
    """Return ids and a mask, padded on the right with token 0, which is masked."""
    rows = [torch.tensor(tokens) for tokens in sequences]
    ids_SL = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    real_SL = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return ids_SL.to(device), real_SL.to(device)
