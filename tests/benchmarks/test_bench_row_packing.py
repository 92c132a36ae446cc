"""Packed rows compute at most 1.02 tokens for each useful one, as bench_row_packing.py counts them."""

import sys
from itertools import islice
from pathlib import Path

from loretta_core.tasks.collate import training_batches


def test_little_is_computed_beside_the_rows(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))  # benchmarks are scripts, and import each other by their names
    monkeypatch.delitem(sys.modules, "results", raising=False)
    from bench_row_packing import counted, rows

    examples = rows(512)
    for size in (4, 16):
        *_, packed = counted(list(islice(training_batches(examples, batch_size=size, seed=0), 512 // size)))
        assert packed.met
        assert packed.value <= 1.02
