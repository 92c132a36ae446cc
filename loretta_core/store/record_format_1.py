"""Records of format 1, in which all numbers stood side by side, in the layout of format 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loretta_core.store.records import RECORD_FORMAT

_KEPT = ("cell_id", "cell", "status", "error", "started_at", "finished_at", "curves", "environment", "adapter", "warnings")

_MOVED = {
    "score": {
        "value": "score",
        "name": "score_name",
        "low": "score_low",
        "high": "score_high",
        "rows": "test_rows",
        "initial": "initial_score",
        "validation": "validation_score",
        "best_step": "best_step",
    },
    "cost": {
        "trainable_params": "trainable_params",
        "total_params": "total_params",
        "train_s": "train_seconds",
        "wall_s": "wall_seconds",
        "step_s": "step_seconds",
        "predicted_step_s": "predicted_step_seconds",
        "steps": "steps",
        "forwards": "forwards",
        "peak_memory_bytes": "peak_memory_bytes",
        "predicted_peak_memory_bytes": "predicted_peak_memory_bytes",
    },
    "digests": {"inputs": "inputs_sha256", "weights": "weights_sha256", "predictions": "predictions_sha256"},
    "pack": {"pack_id": "pack_id", "cells": "pack_cells"},
    "zeroth_order": {name: name for name in ("skipped_steps", "clipped_differences", "signal_to_noise", "update_gain")},
}
"""Field of format 2 → its fields → where format 1 kept them."""

_OPTIONAL = ("pack", "zeroth_order")
"""Fields of format 2 that are None where format 1 had no value for any of their fields."""


def from_format_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the content of a record, its digest left out. Fields that format 1 does not know stay, and are refused as unknown later."""
    old = dict(content)
    kept = {name: old.pop(name) for name in _KEPT if name in old}
    new: dict[str, Any] = {group: {name: old.pop(key) for name, key in fields.items() if key in old} for group, fields in _MOVED.items()}
    for group in _OPTIONAL:
        if all(value is None for value in new[group].values()):
            new[group] = None
    return {**old, **kept, **new, "format": RECORD_FORMAT}
