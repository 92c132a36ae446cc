"""The other side of a process boundary: gets models as a Ray worker does, and imports nothing of ours by itself."""

import torch
from torch import Tensor, nn


def differing(token_ids: Tensor, pairs: list[tuple[nn.Module, Tensor]]) -> int:
    """Return for how many models the logits are not those that were sent along."""
    return sum(not torch.equal(model(input_ids=token_ids).logits, logits) for model, logits in pairs)
