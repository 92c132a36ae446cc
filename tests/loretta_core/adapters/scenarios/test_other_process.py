"""A model sent to a process that has imported nothing of ours (a Ray worker) unpickles there and gives the same logits."""

import pickle
import subprocess
import sys

import pytest
import torch

from loretta_core.adapters.build import apply_method
from loretta_core.config.method import LorettaAdp, LorettaRep

RECEIVER = """
import pickle, sys, torch
token_ids, pairs = pickle.load(sys.stdin.buffer)
sys.exit(sum(not torch.equal(model(input_ids=token_ids).logits, logits) for model, logits in pairs))
"""


@pytest.mark.integration
def test_a_pickled_model_registers_its_own_type(tiny, token_ids):
    pairs = []
    for method in (LorettaAdp(type="loretta_adp", bottleneck_size=8), LorettaRep(type="loretta_rep")):
        model = apply_method(tiny("bert"), method=method, task_type="SEQ_CLS").eval()
        with torch.no_grad():
            pairs.append((model, model(input_ids=token_ids).logits))
    done = subprocess.run([sys.executable, "-c", RECEIVER], input=pickle.dumps((token_ids, pairs)), check=False, timeout=120)
    assert done.returncode == 0, "number of models whose logits differ"
