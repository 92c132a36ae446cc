"""All choices of a row as one sequence: their common beginning is computed once, and each goes on from where it leaves the others.

    prompt p1 p2 p3, answers a1 a2 and a1 b2 b3        tokens    p1 p2 p3 a1 b2        the last token of an answer is predicted, never read
                                                       position   0  1  2  3  4
                                                       sees       itself and its ancestors

A row's tokens are the nodes of a tree. Where no answers branch, because all have one token or only one is longer, the tree is a chain, which every causal model
reads as it is. A tree with branches needs a mask of pairs and positions of its own, which the models of `ARCHITECTURES` take; adapters that put tokens before
the text do not. Equal to the twin, one sequence a choice, to rounding (`answer_scores.py`).

B rows, N nodes of the largest tree, U nodes that predict, T answer tokens of all choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn

from loretta_core.tasks.base import AnswerPositions, Choice

ARCHITECTURES = ("llama", "opt", "phi", "qwen2", "qwen3", "gpt2", "gpt_neox", "gemma")
"""Model types that take a mask of pairs and positions; a test compares each with its twin. Mistral's sliding window would count other branches."""


def can_branch(model: nn.Module) -> bool:
    """Return True if the model reads a tree with branches: a listed architecture with a plain attention, without prompt or prefix tuning."""
    if isinstance(model, PeftModel):
        if model.active_peft_config.is_prompt_learning:
            return False
        model = model.get_base_model()
    config: Any = model.config
    return config.model_type in ARCHITECTURES and config._attn_implementation in ("sdpa", "loretta_merged") and not getattr(config, "use_sliding_window", False)


@dataclass(frozen=True)
class AnswerTree:
    """The choices of one row."""

    tokens: list[int]
    """Token of each node: the common beginning, then the branches; every node comes after its parent."""
    parents: list[int]
    """Index of the node before each."""
    predictors: list[list[int]]
    """For each choice, the nodes that predict its answer tokens."""

    @property
    def branches(self) -> bool:
        """True if a node has two children that are read."""
        return _trunk(self) < len(self.tokens)


def answer_tree(choices: Sequence[Choice]) -> AnswerTree:
    """Return the tree of a row's choices. The first token of a text is never predicted, so every choice has two tokens or more."""
    read = [choice.tokens[:-1] for choice in choices]
    common = _common_length(read)
    tokens, parents = read[0][:common], list(range(-1, common - 1))
    known: dict[tuple[int, int], int] = {}
    predictors: list[list[int]] = []
    for choice, sequence in zip(choices, read, strict=True):
        path = list(range(common))
        for token in sequence[common:]:
            edge = (path[-1] if path else -1, token)
            if edge not in known:
                known[edge] = len(tokens)
                tokens.append(token)
                parents.append(edge[0])
            path.append(known[edge])
        predictors.append(path[len(choice.tokens) - 1 - min(choice.scored, len(choice.tokens) - 1) :])
    return AnswerTree(tokens, parents, predictors)


def tree_inputs(trees: Sequence[AnswerTree], *, pad: int) -> dict[str, Tensor]:
    """Return the inputs of a model for trees with branches: ids (B N), mask of pairs (B 1 N N), positions (B N)."""
    size = max(len(tree.tokens) for tree in trees)
    ids_BN, positions_BN = np.full((len(trees), size), pad), np.zeros((len(trees), size), dtype=np.int64)
    seen_BNN = np.ones((len(trees), size, size), dtype=bool)  # padding sees everything: what sees nothing would become NaN
    for row, tree in enumerate(trees):
        count = len(tree.tokens)
        ids_BN[row, :count] = tree.tokens
        seen_NN = seen_BNN[row, :count]
        trunk = _trunk(tree)
        seen_NN[:] = np.tri(count, size, dtype=bool)
        positions_BN[row, :trunk] = np.arange(trunk)
        for node in range(trunk, count):
            parent = tree.parents[node]
            positions_BN[row, node] = positions_BN[row, parent] + 1 if parent >= 0 else 0
            seen_NN[node] = seen_NN[parent] if parent >= 0 else False
            seen_NN[node, node] = True
    return {"input_ids": torch.from_numpy(ids_BN), "attention_mask": torch.from_numpy(seen_BNN)[:, None], "position_ids": torch.from_numpy(positions_BN)}


def tree_positions(trees: Sequence[AnswerTree], rows: Sequence[Sequence[Choice]]) -> AnswerPositions:
    """Return where the answer tokens of all choices are predicted."""
    known: dict[tuple[int, int], int] = {}
    found: list[tuple[int, int, int]] = []
    choice = 0
    for row, (tree, choices) in enumerate(zip(trees, rows, strict=True)):
        for predictors, one in zip(tree.predictors, choices, strict=True):
            tokens = one.tokens[len(one.tokens) - len(predictors) :]
            found += [(known.setdefault((row, node), len(known)), token, choice) for node, token in zip(predictors, tokens, strict=True)]
            choice += 1
    sequence_U, position_U = torch.tensor(list(known)).unbind(dim=1)
    logits_T, token_T, choice_T = torch.tensor(found).unbind(dim=1)
    return AnswerPositions(sequence_U, position_U, logits_T, token_T, choice_T, torch.ones(len(found)))


def _common_length(sequences: Sequence[list[int]]) -> int:
    """Return how many tokens all sequences begin with."""
    first, last = min(sequences), max(sequences)  # in lexical order, what these two share is shared by all between
    return next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), min(len(first), len(last)))


def _trunk(tree: AnswerTree) -> int:
    """Return the number of nodes before the first that does not follow the one before it."""
    return next((node for node, parent in enumerate(tree.parents) if parent != node - 1), len(tree.parents))
