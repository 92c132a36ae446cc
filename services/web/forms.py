"""Read urlencoded HTML forms; uploads of files are not supported. The request guard limits the size of a body."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import Request


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last value of a repeated one."""
    text = (await request.body()).decode("utf-8", errors="replace")
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True, max_num_fields=50).items()}
