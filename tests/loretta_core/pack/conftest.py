"""Fixture for arithmetic that is exact enough to compare whole curves."""

import pytest
import torch

from loretta_core.train import build


@pytest.fixture
def fp64(monkeypatch):
    """Compute everything that is fp32 in a cell in fp64."""
    apply_method = build.apply_method
    monkeypatch.setitem(build.DTYPES, "fp32", torch.float64)
    monkeypatch.setattr(build, "apply_method", lambda *arguments, **named: apply_method(*arguments, **named).double())
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
