"""Rows of one batch under different adapters, `model(**batch, adapter_names=["first", "__base__", …])`: PEFT's interface for LoRA, for our tuners.

PEFT enters `adapters_of_rows` around the base model's `forward` and `generate`. Hooks hand every layer the name of the adapter of each row of its input:

    a layer's input          its rows
    (B, …)                   the rows of the batch
    (B·K, …) in generate     K beams or returned sequences per row, one after the other
    (B·L, width) in OPT      the tokens of each row, which this architecture flattens before its feed-forward block

An input of other rows (DeBERTa's relative positions) belongs to no row of the batch: the layer refuses it, as LoRA's does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn

from loretta_core.errors import MethodError

BASE = "__base__"
"""PEFT's name for the model without an adapter."""


@contextmanager
def adapters_of_rows(
    tuner: BaseTuner, *, adapter_names: Sequence[str] | None = None, num_beams: int | None = None, num_return_sequences: int | None = None, **_: Any
) -> Iterator[None]:
    """Run each row of the batch under its own adapter inside this context; without `adapter_names` it does nothing.

    Raises MethodError for a model in training mode, as PEFT does, and for an unknown name.
    """
    if adapter_names is None:
        yield
        return
    _check(tuner, adapter_names)
    copies = max(num_beams or 1, num_return_sequences or 1)
    flattens = tuner.get_model_config(tuner.model)["model_type"] == "opt"

    def name_the_rows(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        names = _per_row(adapter_names, args[0], copies=copies, flattens=flattens) if args else list(adapter_names)
        return args, {**kwargs, "adapter_names": names}

    layers = [module for module in tuner.modules() if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)]
    handles = [layer.register_forward_pre_hook(name_the_rows, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check(tuner: BaseTuner, names: object) -> None:
    known = [*tuner.peft_config, BASE]
    if not isinstance(names, list | tuple):
        raise MethodError(f"adapter_names = {names!r}; expected a list with the name of an adapter for every row: {', '.join(known)}")
    if unknown := sorted({str(name) for name in names} - set(known)):
        raise MethodError(f"adapter_names: there is no adapter {', '.join(unknown)}; there are: {', '.join(known)}")
    if tuner.training:
        raise MethodError("adapter_names: the model is in training mode, where rows cannot have adapters of their own; call `eval()` first")


def _per_row(names: Sequence[str], x: Tensor, *, copies: int, flattens: bool) -> list[str]:
    """Return a name for every row of a layer's input; a layer whose rows fit no name gets `names` as they are, and refuses them."""
    repeats, rest = divmod(len(x), len(names)) if names else (0, 0)
    fits = not rest and (repeats == copies or (flattens and x.dim() == 2))
    return [name for name in names for _ in range(repeats)] if fits else list(names)
