"""Add the pages to the application. They are rendered by the server; the script only refreshes, copies and reads a chosen file."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from services.web.figures import FigureCache
from services.web.routes import cells, home, jobs, login, static_files, submit, sweeps
from services.web.session import SignInRequired
from services.web.templating import render


def install_pages(app: FastAPI) -> None:
    """Add the routes of pages, the cache of their figures, and the redirect to /login where a page needs a token."""
    for module in (home, sweeps, cells, submit, jobs, login, static_files):
        app.include_router(module.router)
    app.state.figures = FigureCache()

    @app.exception_handler(SignInRequired)
    def redirect_to_login(request: Request, error: SignInRequired) -> Response:
        return RedirectResponse("/login", status_code=303)


def error_page(request: Request, status: int, detail: str) -> Response:
    """Return the page of an error."""
    return render(request, "error.html", values={"code": status, "detail": detail}, status=status)
