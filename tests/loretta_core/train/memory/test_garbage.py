"""The garbage collector between two cells: the last cell's cycles go, the libraries' objects are frozen once."""

import gc
import subprocess
import sys
import weakref

from loretta_core.train.memory.garbage import collect_garbage

FREEZE = """
import gc
from loretta_core.train.memory.garbage import collect_garbage
collect_garbage()
frozen = gc.get_freeze_count()
later = [[number] for number in range(1000)]
collect_garbage()
print(frozen > 0, gc.get_freeze_count() == frozen)
"""


class Cyclic:
    """An object that refers to itself, as a model does."""

    def __init__(self) -> None:
        self.itself = self


def test_cycles_are_collected():
    gc.disable()
    try:
        alive = weakref.ref(Cyclic())
        assert alive() is not None
        collect_garbage()
        assert alive() is None
    finally:
        gc.unfreeze()
        gc.enable()


def test_only_the_first_call_freezes():
    done = subprocess.run([sys.executable, "-c", FREEZE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
