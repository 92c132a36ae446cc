"""The fine-tuning methods, one descriptor each: settings, attachment, planner's facts, report's words and capabilities. No torch."""

from loretta_core.methods.table import METHODS

__all__ = ["METHODS"]
