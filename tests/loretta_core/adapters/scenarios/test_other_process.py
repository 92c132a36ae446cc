"""A model sent to a process that has imported nothing of ours (a Ray worker) unpickles there and gives the same logits."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from loretta_core.adapters.build import apply_method
from loretta_core.config.method import LorettaAdp, LorettaRep
from tests.loretta_core.adapters.receiver import differing


@pytest.mark.slow
def test_a_pickled_model_registers_its_own_type(tiny, token_ids):
    pairs = []
    for method in (LorettaAdp(type="loretta_adp", bottleneck_size=8), LorettaRep(type="loretta_rep")):
        model = apply_method(tiny("bert"), method=method, task_type="SEQ_CLS").eval()
        with torch.no_grad():
            pairs.append((model, model(input_ids=token_ids).logits))
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as fresh:
        assert fresh.submit(differing, token_ids, pairs).result(timeout=120) == 0
