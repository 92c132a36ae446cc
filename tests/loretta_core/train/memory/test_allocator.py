"""Memory that is freed stays until it is given back. In a process of its own: what glibc was told holds for all of it."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from loretta_core.train import heap
from loretta_core.train.reporting.measured import resident_bytes

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def layer():
    torch.ones(2, 1 << 20), torch.ones(4, 1 << 20)

heap.keep()
for _ in range(40):  # until the holes that are left fit
    layer()
before = faults()
for _ in range(20):
    layer()
print(faults() - before, end=" ")
held = resident_bytes()
heap.trim()
print(held - resident_bytes())
"""


@pytest.mark.integration
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_is_kept_and_given_back():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    faults, given_back = map(int, done.stdout.split())
    assert faults < 200  # 24 MiB are 6,144 pages, each time
    assert given_back > 20 << 20
