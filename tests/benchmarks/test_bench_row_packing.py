"""Packed rows compute at most 1.02 tokens for each useful one, as bench_row_packing.py counts them."""

from itertools import islice

from loretta_core.tasks.collate import training_batches
from tests.benchmarks.bench_row_packing import counted, rows


def test_little_is_computed_beside_the_rows():
    examples = rows(512)
    for size in (4, 16):
        *_, packed = counted(list(islice(training_batches(examples, batch_size=size, seed=0), 512 // size)))
        assert packed.met
        assert packed.value <= 1.02
