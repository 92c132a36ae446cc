"""Sharded checkpoints of a `zero` cell: each worker writes its shard, a manifest lists the files that belong together.

    DIRECTORY/step-40-1a2b3c4d/shards/…             DeepSpeed's files, always in a fresh directory
    DIRECTORY/step-40-1a2b3c4d/best.safetensors     the best weights so far
    DIRECTORY/step-40-1a2b3c4d/manifest.json        written last: identity, world size, stage, precision, progress, {file: sha256}

DeepSpeed loads whatever lies in a directory: files of an older save beside the new ones gave wrong weights without an error. So nothing is loaded that the
manifest does not list with the same digest, and a directory without one is no checkpoint. Another number of workers is possible within a stage (DeepSpeed's
universal format); another stage or precision is another run. DeepSpeed's files are pickles: they are read only because this project wrote them into its own
output directory and their digests agree.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor
from torch.optim import Optimizer

from loretta_core.errors import CellFailed
from loretta_core.store.output_dir import write_atomically
from loretta_core.train import checkpoint
from loretta_core.train.checkpoint import write_tensors
from loretta_core.train.state import TrainingProgress, progress_from, progress_scalars
from loretta_core.train.workers import Workers

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_SHARDS, _UNIVERSAL, _BEST = "shards", "universal", "best.safetensors"


@dataclass(frozen=True)
class _ValidCheckpoint:
    """A checkpoint whose files have the digests that its manifest lists."""

    directory: Path
    manifest: Mapping[str, Any]


class ShardedCheckpointer:
    """Saves and restores one cell. All workers call every method.

    Args:
        directory: directory of the cell's sharded checkpoints, seen by all workers.
        identity: names the cell and its data; checkpoints with another identity are ignored.
        stage, precision: settings of the run; checkpoints with others are ignored.
        workers: the workers of the cell.
    """

    def __init__(self, directory: Path, *, identity: str, stage: int, precision: str, workers: Workers) -> None:
        self._directory, self._workers = directory, workers
        self._about = {"identity": identity, "stage": stage, "precision": precision}
        self._engine: Any = None
        self._last_save = time.monotonic()
        self._found: _ValidCheckpoint | None = self._from_first(lambda: newest_valid(directory, about=self._about))
        if self.other_world and self._workers.first:
            self._convert()
        self._workers.gather(None)

    @property
    def other_world(self) -> bool:
        """True if the checkpoint to resume from was written by another number of workers, and is loaded in the universal format."""
        return self._found is not None and self._found.manifest["world"] != self._workers.world

    def attach(self, engine: Any) -> None:
        """Set DeepSpeed's engine, which is created after it is known which format it has to load."""
        self._engine = engine

    def restore(self, state: object) -> TrainingProgress | None:
        """Load the checkpoint that was found into the attached engine; None when there is none."""
        if self._found is None:
            return None
        directory, manifest = self._found.directory, self._found.manifest
        tag = _UNIVERSAL if self.other_world else _SHARDS
        decays = [group["weight_decay"] for group in self._engine.optimizer.param_groups]
        loaded, _ = self._engine.load_checkpoint(str(directory), tag=tag)
        if loaded is None:
            raise CellFailed(f"DeepSpeed does not load the checkpoint {directory}; delete it to run the cell again", kind="infrastructure")
        if self.other_world:
            _repair_universal_load(self._engine.optimizer.optimizer, decays=decays)
        best: dict[str, Tensor] = load_file(directory / _BEST) if self._workers.first else {}
        return progress_from(manifest["progress"], best=best)

    def save(self, state: object, progress: TrainingProgress, *, now: bool = False) -> None:
        """Write the state into a fresh directory, then the manifest, then delete older ones; unless the last save is too recent and not `now`."""
        due = now or time.monotonic() - self._last_save >= checkpoint.MIN_INTERVAL_S
        directory = self._from_first(lambda: self._directory / f"step-{progress.step}-{secrets.token_hex(4)}" if due else None)
        if directory is None:
            return
        directory.mkdir(parents=True, exist_ok=True)
        self._engine.save_checkpoint(str(directory), tag=_SHARDS, save_latest=False)
        self._workers.gather(None)  # every piece is on disk
        if self._workers.first:
            write_tensors(directory / _BEST, progress.best, {})
            manifest = self._about | {"world": self._workers.world, "progress": progress_scalars(progress), "files": digests(directory)}
            write_atomically(directory / MANIFEST, json.dumps(manifest))
            self._keep_only(directory)
        self._workers.gather(None)
        self._last_save = time.monotonic()

    def clear(self) -> None:
        """Delete the checkpoints of a finished cell."""
        if self._workers.first:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _from_first(self, ask: Any) -> Any:
        return self._workers.gather(ask() if self._workers.first else None)[0]

    def _keep_only(self, directory: Path) -> None:
        for other in self._directory.iterdir():
            if other != directory:
                shutil.rmtree(other, ignore_errors=True)

    def _convert(self) -> None:
        """Convert the checkpoint that was found, whose files were just verified, to DeepSpeed's universal format beside its shards."""
        assert self._found is not None
        target = self._found.directory / _UNIVERSAL
        shutil.rmtree(target, ignore_errors=True)
        command = ["--input_folder", str(self._found.directory / _SHARDS), "--output_folder", str(target)]
        command += ["--num_extract_workers", "1", "--num_merge_workers", "1"]
        if self._about["stage"] < 3:
            command.append("--inject_missing_state")
        done = subprocess.run([sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CellFailed(
                f"DeepSpeed cannot convert the checkpoint {self._found.directory} of {self._found.manifest['world']} workers for {self._workers.world}: "
                f"{(done.stderr.strip().splitlines() or ['no reason given'])[-1]}; delete it to run the cell again"
            )


def _repair_universal_load(optimizer: Optimizer, *, decays: Sequence[float]) -> None:
    """Give every parameter its own step counter, and every group its weight decay back.

    DeepSpeed 0.19 loads the universal format at stage 3 with one step counter for all groups, which then advances once per group and makes Adam's bias
    correction wrong (measured: a loss off by 2e-3 after ten steps), and with the first group's settings for all of them.
    """
    for slot in optimizer.state.values():
        if isinstance(slot.get("step"), Tensor):
            slot["step"] = slot["step"].clone()
    for group, decay in zip(optimizer.param_groups, decays, strict=True):
        group["weight_decay"] = decay


def newest_valid(directory: Path, *, about: Mapping[str, object]) -> _ValidCheckpoint | None:
    """Return the latest checkpoint of this identity, stage and precision whose files are all there and unchanged; others are logged and passed over."""
    found = []
    for path in directory.glob(f"*/{MANIFEST}"):
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name, value in about.items() if manifest[name] != value]
            files = manifest["files"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            log.warning("checkpoint %s: its manifest is damaged; passed over", path.parent)
            continue
        if differing:
            log.warning("checkpoint %s has another %s; passed over", path.parent, " and ".join(differing))
        elif digests(path.parent) != files:
            log.warning("checkpoint %s: its files are not those of its manifest; passed over", path.parent)
        else:
            found.append(_ValidCheckpoint(path.parent, manifest))
    return max(found, key=lambda one: one.manifest["progress"]["step"], default=None)


def digests(directory: Path) -> dict[str, str]:
    """Return {relative path: sha256} of the files of a checkpoint, but for its manifest and the universal format converted from it."""
    paths = [path for path in sorted(directory.rglob("*")) if path.is_file() and path.name != MANIFEST]
    return {name: _sha256(directory / name) for name in (str(path.relative_to(directory)) for path in paths) if not name.startswith(f"{_UNIVERSAL}/")}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
