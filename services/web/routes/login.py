"""Sign in and out. The token is kept in a cookie that scripts cannot read."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.api.dependencies import TOKEN_COOKIE, ServicesDep
from services.web.forms import read_form
from services.web.templating import render

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

COOKIE_AGE_S = 30 * 86400


@router.get("/login")
def login(request: Request) -> Response:
    """Show the form for a token."""
    return render(request, "login.html", values={"error": ""})


@router.post("/login")
async def sign_in(request: Request, services: ServicesDep) -> Response:
    """Check the token of the form and set the cookie."""
    token = (await read_form(request)).get("token", "").strip()
    if services.tokens().authenticate(token) is None:
        return render(request, "login.html", values={"error": "This is no token of this server."}, status=401)
    response = RedirectResponse("/", status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(TOKEN_COOKIE, token, httponly=True, samesite="strict", secure=secure, max_age=COOKIE_AGE_S)
    return response


@router.post("/logout")
def sign_out() -> Response:
    """Sign out by deleting the cookie."""
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(TOKEN_COOKIE, httponly=True, samesite="strict")
    return response
