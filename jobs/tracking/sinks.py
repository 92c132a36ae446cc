"""The sinks that a sweep names, `sinks = ["mlflow", "tensorboard"]`: checked before anything starts, then opened."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from jobs.tracking.mlflow_setup import default_uri, prepare
from jobs.tracking.mlflow_sweep import MlflowSweep
from jobs.tracking.sink import Sink
from jobs.tracking.tensorboard_sink import TensorboardSweep, tensorboard_place
from jobs.tracking.wandb_sink import WandbSweep, wandb_place
from loretta_core.errors import ConfigError
from loretta_core.store.notes.sent import without_credentials

EXTRAS = {"tensorboard": "tensorboard", "wandb": "wandb"}
"""Sink → the module that it needs, which is also the name of the extra of this project that installs it."""


def check_sinks(names: Sequence[str]) -> None:
    """Raise ConfigError for a sink whose library is not installed, before anything starts."""
    for name in names:
        if name in EXTRAS and find_spec(EXTRAS[name]) is None:
            rest = [each for each in names if each != name] or ["mlflow"]
            listed = ", ".join(f'"{each}"' for each in rest)
            raise ConfigError(f"sinks: {name!r} needs a library that is not installed: pip install 'loretta-on-ray[{EXTRAS[name]}]', or sinks = [{listed}]")


def open_sinks(names: Sequence[str], *, sweep: str, out: Path, tracking_uri: str = "", max_upload_mib: float = 100.0) -> list[Sink]:
    """Open the sinks of a sweep. Raises ConfigError for a library that is not installed, and for a store that cannot be used."""
    check_sinks(names)
    return [_open(name, sweep, out, tracking_uri=tracking_uri, max_upload_mib=max_upload_mib) for name in dict.fromkeys(names)]


def destinations(names: Sequence[str], *, out: Path, tracking_uri: str = "") -> dict[str, str]:
    """Return sink → what its notes call the place that it sends to, without opening any."""
    known = {
        "mlflow": lambda: without_credentials(tracking_uri or default_uri(out)),
        "tensorboard": lambda: tensorboard_place(out),
        "wandb": lambda: wandb_place(out),
    }
    return {name: known[name]() for name in names}


def _open(name: str, sweep: str, out: Path, *, tracking_uri: str, max_upload_mib: float) -> Sink:
    if name == "mlflow":
        return MlflowSweep(prepare(tracking_uri or default_uri(out), name=sweep, out=out, max_upload_mib=max_upload_mib), out=out)
    return TensorboardSweep(out, sweep=sweep) if name == "tensorboard" else WandbSweep(out, sweep=sweep)
