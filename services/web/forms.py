"""HTML forms without a parser of files: urlencoded text, at most what the guard lets through."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import Request


async def form(request: Request) -> dict[str, str]:
    """The fields of a form; of a repeated one the last."""
    text = (await request.body()).decode("utf-8", errors="replace")
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True, max_num_fields=50).items()}
