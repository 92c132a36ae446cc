"""Route of the health check. It needs no token and says nothing about what the server holds."""

from __future__ import annotations

from importlib import metadata

from fastapi import APIRouter

from services.api.problems import problem_responses
from services.api.schemas import Health

router = APIRouter(tags=["health"])

VERSION = metadata.version("loretta-on-ray")


@router.get("/health", responses=problem_responses(429))
def health() -> Health:
    """The server answers."""
    return Health(version=VERSION)
