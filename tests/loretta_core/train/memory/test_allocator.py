"""Freed memory stays with the process until it is trimmed. In a process of its own: what glibc was told holds for all of it."""

import os
import platform
import subprocess
import sys

import pytest

from tests.paths import ROOT

PROGRAM = """
import resource, torch
from loretta_core.train.memory import allocator
from loretta_core.train.reporting.peak_memory import resident_bytes

def faults_of_a_layer():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2, 1 << 20), torch.ones(4, 1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

allocator.configure_allocator()
quiet = 0
for _ in range(500):  # the heap first grows until both tensors fit; how soon depends on what the imports have left in it
    quiet = quiet + 1 if faults_of_a_layer() < 100 else 0
    if quiet == 20:
        break
print(sum(faults_of_a_layer() for _ in range(20)), end=" ")
held = resident_bytes()
allocator.trim()
print(held - resident_bytes())
"""
FOREIGN = ("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_")
"""Prefixes of variables that configure malloc or replace it."""


@pytest.mark.integration
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_is_kept_and_given_back():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    faults, given_back = map(int, done.stdout.split())
    assert faults < 200  # 24 MiB are 6,144 pages, each time
    assert given_back > 20 << 20
