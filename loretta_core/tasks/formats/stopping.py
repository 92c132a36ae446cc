"""Stops writing a row once its text has reached a stop text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, StoppingCriteria, StoppingCriteriaList

from loretta_core.tasks.scoring.stops import ends

WINDOW = 32
"""Last tokens that are looked at; a longer stop text is still found when the answer is read."""


class _StopTexts(StoppingCriteria):
    """True for each row whose text has reached a stop text."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], prompt_length: int) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor | None, **kwargs: object) -> Tensor:
        recent = input_ids[:, max(self._prompt_length, input_ids.shape[1] - WINDOW) :]
        texts = self._tokenizer.batch_decode(recent, skip_special_tokens=True)
        return torch.tensor([ends(text, self._stops) for text in texts], device=input_ids.device)


def at_stops(tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], *, prompt_length: int) -> StoppingCriteriaList:
    """Return the criteria that end a row at the stop texts; none without stop texts."""
    return StoppingCriteriaList([_StopTexts(tokenizer, stops, prompt_length)] if stops else [])
