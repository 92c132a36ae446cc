"""The vocabulary of a run: frozen pydantic values, no torch, no mathematics."""

from loretta_core.config.cell import COMPONENTS, SCHEMA_VERSION, CellConfig
from loretta_core.config.explain import FAMILIES
from loretta_core.config.sweep.load import SweepConfig, cell_from_overrides, load_sweep, sweep_from_overrides

__all__ = ["COMPONENTS", "FAMILIES", "SCHEMA_VERSION", "CellConfig", "SweepConfig", "cell_from_overrides", "load_sweep", "sweep_from_overrides"]
