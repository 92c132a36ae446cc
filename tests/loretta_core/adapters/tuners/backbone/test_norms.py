"""What counts as a norm, by what it does."""

import pytest
import torch
from torch import Tensor, nn
from transformers.models.bloom.modeling_bloom import BloomGelu
from transformers.models.cohere.modeling_cohere import CohereLayerNorm
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.mamba2.modeling_mamba2 import MambaRMSNormGated
from transformers.models.olmo.modeling_olmo import OlmoLayerNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm
from transformers.models.t5.modeling_t5 import T5LayerNorm
from transformers.pytorch_utils import Conv1D

from loretta_core.adapters.tuners.backbone.norms import is_norm


class Centred(nn.Module):
    """A norm under a name that says nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 3.0))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x / (x.norm(dim=-1, keepdim=True) + 1e-6) * self.gamma + self.beta


class Scale(nn.Module):
    """A learned factor, as in vision transformers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Offset(Scale):
    """A learned vector that does not look at its input."""

    def forward(self, x: Tensor) -> Tensor:
        return (0 * x) + self.weight


NORMS = [
    nn.LayerNorm(8),
    nn.RMSNorm(8),
    nn.GroupNorm(2, 8),
    T5LayerNorm(8),
    Gemma3RMSNorm(8),
    Qwen3RMSNorm(8),
    CohereLayerNorm(8),
    CohereLayerNorm((4, 8)),
    Centred(8),
]
OTHERS = [
    nn.BatchNorm1d(8),
    nn.BatchNorm1d(8, track_running_stats=False),
    nn.LayerNorm(8, elementwise_affine=False),
    OlmoLayerNorm(8),
    MambaRMSNormGated(8, group_size=8),
    nn.Linear(8, 8),
    nn.Embedding(8, 8),
    Conv1D(8, 8),
    nn.PReLU(8),
    nn.Dropout(),
    BloomGelu(),
    Scale(8),
    Offset(8),
    nn.Sequential(nn.LayerNorm(8)),
]


@pytest.mark.parametrize("module", NORMS, ids=lambda module: type(module).__name__)
def test_a_norm_is_found_by_what_it_does(module):
    assert is_norm(module)
    assert is_norm(module.to("meta"))


@pytest.mark.parametrize("module", OTHERS, ids=lambda module: type(module).__name__)
def test_nothing_else_is_a_norm(module):
    assert not is_norm(module)
