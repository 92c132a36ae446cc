"""A model's files on this machine, found without asking the network: shipped, a local directory, or the local hub cache."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loretta_core.config.model import TOY_MODELS, ModelConfig
from loretta_core.errors import ModelError


def find_checkpoint(model: ModelConfig) -> Path | None:
    """Return the directory with the model's config.json, or None when it is not at hand."""
    if model.name in TOY_MODELS:
        return Path(__file__).parents[2] / "assets" / model.name
    directory = Path(model.name).expanduser()
    for candidate in (directory, _in_hub_cache(model)):
        if candidate is not None and (candidate / "config.json").is_file():
            return candidate
    return None


def read_config(directory: Path) -> Mapping[str, Any]:
    """Return the content of config.json. Raises ModelError if it is not JSON."""
    try:
        return json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{directory / 'config.json'} is not JSON: {error}") from None


def _in_hub_cache(model: ModelConfig) -> Path | None:
    """Return a model's directory in the hub's cache: models--org--name/refs/<revision> holds the commit whose files are in snapshots/<commit>."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    repository = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{model.name.replace('/', '--')}"
    revision = model.revision or "main"
    reference = repository / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    return repository / "snapshots" / commit
