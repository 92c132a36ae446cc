"""TensorGuide's two factors are slices of one train."""

import pytest
import torch

from loretta_core import TensorGuideConfig
from loretta_core.adapters.tuners.tensor_family.tensorguide import JointLowRank
from loretta_core.tt.reference import dense_by_definition


@pytest.mark.parametrize(("in_features", "out_features", "r"), [(24, 40, 3), (40, 24, 4), (67, 5, 2)])
def test_both_factors_are_in_one_train(in_features, out_features, r):
    block = JointLowRank(in_features=in_features, out_features=out_features, config=TensorGuideConfig(tensor_rank=3, r=r, lora_alpha=float(r)))
    a_IR, b_RO = block.factors()
    assert a_IR.any()
    assert not b_RO.any()
    with torch.no_grad():
        for core in block.tensor.cores:
            core.normal_()
    whole = dense_by_definition(list(block.tensor.cores), shape=block.tensor.shape)  # (r, A's rows and then B's)
    rows = whole.shape[1] // 2
    expected = whole[:r, rows : rows + out_features].t() @ whole[:r, :in_features]
    torch.testing.assert_close(block.delta_weight(), expected, rtol=1e-4, atol=1e-4)
    x = torch.randn(2, 3, in_features)
    torch.testing.assert_close(block(x), x @ expected.t(), rtol=1e-4, atol=1e-3)


def test_it_has_fewer_parameters_than_two_trains():
    block = JointLowRank(in_features=768, out_features=768, config=TensorGuideConfig())
    assert sum(parameter.numel() for parameter in block.parameters()) == 2 * 2 + 5 * (2 * 12 + 5 * 8 + 5 * 8 + 8)
