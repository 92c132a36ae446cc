"""Static files of the pages: style sheet, script, icon. Only the files listed here are served."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MEDIA_TYPES = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """Serve a static file."""
    if name not in MEDIA_TYPES:
        raise HTTPException(404, "no such file")
    content = resources.files("services.web").joinpath("static", name).read_bytes()
    return Response(content, media_type=MEDIA_TYPES[name], headers={"cache-control": "max-age=300"})
