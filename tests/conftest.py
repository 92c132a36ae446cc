"""Shared fixtures: small models and tokenizers made on the spot, offline."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import peft  # noqa: F401 before any package of ours: what is first imported below jaxtyping's hook is compiled again, tens of seconds on a fresh machine
import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy machine is not a bug
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """GPU tests skip with the reason where there is no GPU, however they were selected."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"torch {torch.__version__} sees no CUDA device here"))


@pytest.fixture
def load_which(tmp_path: Path) -> Callable[..., Any]:
    """load_which("tune.trials=4") → the sweep of `tests/which.py` with overrides, read from a file."""
    from loretta_core.config import load_sweep
    from tests.which import SWEEP

    def load(*overrides: str, text: str = SWEEP) -> Any:
        file = tmp_path / "which.toml"
        file.write_text(text)
        return load_sweep(file, overrides=overrides)

    return load
