"""FastAPI dependencies of the routes: the services of the application, and the authenticated caller with the role that a route requires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from services.queries.run_index import RunIndex
from services.queries.submissions import Submissions
from services.server.auth import Caller, Role, Tokens, read_tokens
from services.server.settings import ApiSettings

TOKEN_COOKIE = "loretta_token"
"""Cookie with a browser's token: HttpOnly, SameSite=Strict, for this host alone."""

_bearer = HTTPBearer(auto_error=False, description="A token of `loretta token NAME --role read|submit|admin`; needed unless the server has none.")


@dataclass(frozen=True)
class Services:
    """Settings, runs and submissions of an application, made once."""

    settings: ApiSettings
    runs: RunIndex
    submissions: Submissions

    def tokens(self) -> Tokens:
        """Read the tokens from their small file each time, so that a revoked token is refused from that moment."""
        found = read_tokens(self.settings.tokens)
        return Tokens(found.entries, required=found.required or self.settings.tokens_required)


def get_services(request: Request) -> Services:
    """Return the services of the application that handles a request."""
    return request.app.state.services


def authenticate(request: Request) -> Caller | None:
    """Return the caller by the Authorization header or a browser's cookie, None without a valid token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.cookies.get(TOKEN_COOKIE, "")
    return get_services(request).tokens().authenticate(given)


def check_role(caller: Caller, role: Role) -> None:
    """Raise HTTPException 403 unless the caller has the role."""
    if not caller.has_role(role):
        raise HTTPException(403, f"the token of {caller.name!r} has the role {caller.role!r}, and this needs {role!r}")


def require_role(role: Role) -> Callable[..., Caller]:
    """Return a dependency that gives the caller, or answers 401 without a token and 403 without the role."""

    def check(request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
        caller = authenticate(request)
        if caller is None:
            raise HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"})
        check_role(caller, role)
        return caller

    return check


ServicesDep = Annotated[Services, Depends(get_services)]
Reader = Annotated[Caller, Depends(require_role("read"))]
Submitter = Annotated[Caller, Depends(require_role("submit"))]
