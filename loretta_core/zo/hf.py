"""ZOTrainer: a Hugging Face `Trainer` with zeroth-order steps.

    trainer = ZOTrainer(model=model, args=args, train_dataset=rows, optimizer_cls_and_kwargs=(ZOSGD, {"lr": 1e-4, "zo_eps": 1e-3}))

Only `training_step` differs: it keeps the pieces of a global batch and evaluates all of them along the step's directions when the last one has come, so that
gradient accumulation averages losses under the same directions. The loop, the schedulers, checkpoints and callbacks are the base class's; the update happens
where the base class calls `optimizer.step()`. Dropout is off. `max_grad_norm` has no effect: there is no gradient to clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from loretta_core.zo.optim import ZOSGD, ZerothOrder


class ZOTrainer(Trainer):
    """A Trainer with a zeroth-order optimizer, given as `optimizer_cls_and_kwargs` (a class of parameter groups, or a factory) or in `optimizers`."""

    _pieces: tuple[dict[str, Any], ...] = ()

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Collect a piece of a global batch. Returns zero for all pieces but the last one, for which it is the loss of the whole batch."""
        model.eval()
        pieces = (*self._pieces, self._prepare_inputs(inputs))
        if not self.accelerator.sync_gradients:
            self._pieces = pieces
            return torch.zeros((), device=self.args.device)
        self._pieces = ()
        loss = self._zeroth_order_optimizer().probe(lambda: self._mean_loss(model, pieces))
        return torch.tensor(loss, device=self.args.device)

    def _mean_loss(self, model: nn.Module, pieces: Sequence[dict[str, Any]]) -> Tensor:
        """Return the mean loss over the labels of all pieces.

        `num_items_in_batch` of the base class is not used: some models ignore it, and a loss too large by a factor acts like such a learning rate.
        """
        weights = [_labels(piece) for piece in pieces]
        losses = torch.stack([torch.as_tensor(self.compute_loss(model, dict(piece))) for piece in pieces])
        return losses.float() @ torch.tensor(weights, dtype=torch.float32, device=losses.device) / sum(weights)

    def _zeroth_order_optimizer(self) -> ZOSGD | ZerothOrder:
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)  # accelerate's wrapper
        if not isinstance(optimizer, ZOSGD | ZerothOrder):
            raise TypeError(
                f"ZOTrainer was given {type(optimizer).__name__}; it needs ZOSGD or ZerothOrder, e.g. optimizer_cls_and_kwargs=(ZOSGD, {{'lr': 1e-4}})"
            )
        return optimizer


def _labels(piece: dict[str, Any]) -> int:
    """Count the labels that enter the loss; rows if there are none. A causal model predicts nothing at position 0, others ignore it."""
    labels = piece.get("labels")
    if labels is None:
        return len(next(iter(piece.values())))
    return int((labels[..., 1:] if labels.ndim > 1 else labels).ne(-100).sum())
