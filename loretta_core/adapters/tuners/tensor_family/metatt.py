"""MetaTT: one tensor train over input, layers, matrices and output for the whole model (arXiv 2506.09105, the four-core form).

    y = W x + b + alpha * dropout(x) G1 G2[layer] G3[matrix] G4            G1 (in x r), G2[l] and G3[m] (r x r), G4 (r x out)

Parameters: (in + out) r + (layers + matrices) r². Matrices of different widths (grouped queries) have a G1 for each input width and a G4 for each output width
of their own; the cores between are common to all. Merging is exact.

Rank adaptation: `round_ranks` rounds the train to lower ranks by singular value decompositions from core to core. The paper interleaves such sweeps with
epochs of AdamW, whose state starts again; here it is a function between two trainings: round, then make a new optimizer.

Taken from the paper: the train, its counts, alpha, rounding. Ours: G4 starts at zero, G2 and G3 as identities and G1 normal with variance 1 / in (LoRA's
start); cores per width. The paper's further modes, heads and tasks, are not here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from loretta_core.adapters.field_checks import checked, flag, positive, probability
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.base_configs import TargetedConfig
from loretta_core.adapters.tuners.tensor_family.shared_factors import SharedFactors, SharedLayer, SharedTuner
from loretta_core.errors import MethodError
from loretta_core.methods.grid import AttachedLayer, layer_grid
from loretta_core.tt import ops
from loretta_core.tt.shapes import TTShape
from loretta_core.tt.svd import tt_round


@dataclass
class MetaTTConfig(TargetedConfig):
    """PEFT config of the type METATT."""

    train_norms: bool = field(default=False, metadata=checked(flag, "Train every LayerNorm and RMSNorm as well."))
    tensor_rank: int | list[int] = field(default=8, metadata={"help": "Rank of the train, or its three inner ranks (as `round_ranks` leaves them)."})
    alpha: float = field(default=1.0, metadata=checked(positive, "Factor on every update."))
    dropout: float = field(default=0.0, metadata=checked(probability, "Dropout on the update's input."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("METATT")
        if len(self.ranks) != 3 or any(type(rank) is not int or rank < 1 for rank in self.ranks):
            raise MethodError(f"metatt: tensor_rank = {self.tensor_rank!r}; expected a number of at least 1, or three of them")

    @property
    def ranks(self) -> list[int]:
        """The three inner ranks."""
        return list(self.tensor_rank) if isinstance(self.tensor_rank, list | tuple) else [self.tensor_rank] * 3


class GlobalTrain(SharedFactors):
    """The train of one adapter: `inputs` and `outputs` by width, `layers` (L, r, r'), `matrices` (M, r', r'')."""

    def __init__(self, attached: Sequence[AttachedLayer], *, ranks: Sequence[int]) -> None:
        super().__init__()
        grid = layer_grid(attached)
        self._places = {layer.path: (*grid.place(layer.path), str(layer.in_features), str(layer.out_features)) for layer in attached}
        first, second, third = ranks
        self.inputs = nn.ParameterDict({str(width): torch.randn(width, first) / width**0.5 for width in grid.in_widths})
        self.layers = nn.Parameter(torch.eye(first, second).repeat(len(grid.blocks), 1, 1))
        self.matrices = nn.Parameter(torch.eye(second, third).repeat(len(grid.matrices), 1, 1))
        self.outputs = nn.ParameterDict({str(width): torch.zeros(third, width) for width in grid.out_widths})

    def factors(self, path: str) -> ops.Factors:
        """Return (G1, G2[layer] G3[matrix] G4) of the layer at `path`."""
        layer, matrix, in_width, out_width = self._places[path]
        return self.inputs[in_width], self.layers[layer] @ (self.matrices[matrix] @ self.outputs[out_width])

    @torch.no_grad()
    def round_(self, *, rank: int | None, tolerance: float | None) -> tuple[list[int], float]:
        """Round the train in place; return its inner ranks and the relative error of all updates together (Frobenius norm)."""
        before = {path: self.factors(path) for path in self._places}
        cores = self._as_train()
        sizes = [core.shape[1] for core in cores]
        shape = TTShape(sizes[0], math.prod(sizes[1:]), tuple(sizes), 1, (1, *(core.shape[2] for core in cores)))
        found = tt_round(cores, shape=shape, rank=rank, tolerance=tolerance)
        self._set_train(found.cores)
        error = sum(_squared_norm(*_difference(old, self.factors(path))) for path, old in before.items())
        size = sum(_squared_norm(*old) for old in before.values())
        return list(found.shape.ranks[1:-1]), math.sqrt(max(error, 0.0) / size) if size else 0.0

    def _as_train(self) -> list[Tensor]:
        """Return four cores (r, mode, r'); the modes of the ends are all input and all output widths, one after the other."""
        ends = torch.cat(list(self.inputs.values())), torch.cat(list(self.outputs.values()), dim=1)
        return [ends[0][None], self.layers.transpose(0, 1), self.matrices.transpose(0, 1), ends[1][..., None]]

    def _set_train(self, cores: Sequence[Tensor]) -> None:
        first, layers, matrices, last = cores
        self._replace(self.inputs, first[0].split([core.shape[0] for core in self.inputs.values()]))
        self._replace(self.outputs, last[..., 0].split([core.shape[1] for core in self.outputs.values()], dim=1))
        self.layers = nn.Parameter(layers.transpose(0, 1).contiguous(), self.layers.requires_grad)
        self.matrices = nn.Parameter(matrices.transpose(0, 1).contiguous(), self.matrices.requires_grad)

    @staticmethod
    def _replace(table: nn.ParameterDict, values: Sequence[Tensor]) -> None:
        for (name, old), value in zip(list(table.items()), values, strict=True):
            table[name] = nn.Parameter(value.contiguous(), old.requires_grad)


def _difference(left: ops.Factors, right: ops.Factors) -> ops.Factors:
    """Return factors of the difference of two products."""
    return torch.cat([left[0], right[0]], dim=1), torch.cat([left[1], -right[1]])


def _squared_norm(left_IR: Tensor, right_RO: Tensor) -> float:
    """Return ‖L R‖² (Frobenius) without the product."""
    left_IR, right_RO = left_IR.double(), right_RO.double()
    return float(((left_IR.t() @ left_IR) * (right_RO @ right_RO.t())).sum())


class MetaTTLayer(SharedLayer):
    """A linear layer with updates from global trains."""

    adapter_layer_names = ("metatt_block",)


class MetaTTModel(SharedTuner[MetaTTConfig, MetaTTLayer]):
    """The tuner that `get_peft_model` makes for MetaTTConfig."""

    method = "metatt"
    prefix = "metatt_"

    def make_layer(self, config: MetaTTConfig, base_layer: nn.Module, path: str) -> MetaTTLayer:
        return MetaTTLayer(base_layer, path)

    def make_tensors(self, config: MetaTTConfig, attached: Sequence[AttachedLayer]) -> GlobalTrain:
        return GlobalTrain(attached, ranks=config.ranks)

    def scaling(self, config: MetaTTConfig) -> float:
        return config.alpha

    def round_ranks(self, *, rank: int | None = None, tolerance: float | None = None, adapter: str = "default") -> float:
        """Round the train of an adapter to ranks of at most `rank`, lower where its relative error stays below `tolerance`; between two trainings only.

        The train has a matrix for every pair of a layer and a matrix type, in every width, also where the model has none; the tolerance counts all. Returns
        the relative error of the updates that there are, together (Frobenius norm). The parameters are new ones: an optimizer of the old ones has to be made
        anew. Raises MethodError when neither is given or the ranks would not be at least 1.
        """
        if (rank is None and tolerance is None) or (rank is not None and rank < 1) or (tolerance is not None and tolerance < 0):
            raise MethodError(f"round_ranks: rank = {rank}, tolerance = {tolerance}; expected a rank of at least 1, a tolerance of at least 0, or both")
        tensors = self.tensors_of(adapter)
        assert isinstance(tensors, GlobalTrain)
        config: Any = self.peft_config[adapter]
        config.tensor_rank, error = tensors.round_(rank=rank, tolerance=tolerance)
        return error


register(name="metatt", config_cls=MetaTTConfig, model_cls=MetaTTModel)
