"""Storage that is full or read-only: said in one line, nothing counted as failed, and the same command goes on when there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.failures.retry import classify_error
from jobs.storage.lock import output_lock
from loretta_core.errors import OutputError
from loretta_core.store.output_dir import check_output_dir
from tests.jobs.synthetic import FILLER, FILLING_SEED, MENDED
from tests.jobs.test_sweep import Place, place, run, shared


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 16 MB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(directory)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device"), "storage"),
        (RuntimeError("safetensors: I/O error: No space left on device (os error 28)"), "storage"),
        (OSError(30, "Read-only file system"), "storage"),
        (OSError(2, "No such file or directory"), "error"),
    ],
)
def test_a_full_disk_is_a_class_of_failure(error, kind):
    assert classify_error(error) == kind


def test_a_read_only_directory_is_refused_in_one_line(small_disk):
    check_output_dir(small_disk / "out")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match=r"out: cannot be written \(Read-only file system\); make it writable"), output_lock(small_disk / "out"):
        pass
    with pytest.raises(OutputError, match=r"other: cannot be used as output directory \(Read-only file system\)"):
        check_output_dir(small_disk / "other")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("executor", ["train", "inline"])
def test_a_disk_that_fills_up_ends_the_sweep_and_room_lets_it_go_on(executor, small_disk, tmp_path, head):
    here = Place(place(tmp_path, 0, FILLING_SEED, 1).file, small_disk / "out")
    command = [*here.command, "--max-concurrent", "1", "--set", f"executor={executor}"]
    full = run(command, shared(head))
    assert full.code == 2, full.output + full.errors
    assert "No space left on device; make room and start the same command again, finished cells are kept" in full.errors
    assert "Traceback" not in full.errors
    assert here.records.keys() == {0}  # none failed

    (here.out / FILLER).unlink()
    (here.out / MENDED).touch()
    roomy = run(command, shared(head))
    assert roomy.code == 0, roomy.output + roomy.errors
    assert "1 of 3 cells finished, 2 to run" in roomy.output
    assert [len(here.attempts(seed)) for seed in (0, FILLING_SEED, 1)] == [1, 2, 1]
