"""Is the server there? Needs no token and says nothing about what it holds."""

from __future__ import annotations

from importlib import metadata

from fastapi import APIRouter

from services.api.problems import answers
from services.api.schemas import Health

router = APIRouter(tags=["health"])

VERSION = metadata.version("loretta-on-ray")


@router.get("/health", responses=answers(429))
def health() -> Health:
    """The server answers."""
    return Health(version=VERSION)
