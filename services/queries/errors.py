"""Errors of queries that the API answers with a status of their own: 404 and 503."""

from __future__ import annotations

from loretta_core.errors import LorettaError


class NotFound(LorettaError):
    """Raised when there is no job, sweep or cell of the given name."""


class RayUnavailable(LorettaError):
    """Raised when no Ray cluster is configured, or the configured one does not answer."""
