"""What a request needs from the server: services made once, and who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from services.queries.run_index import Runs
from services.queries.submissions import Submissions
from services.server.auth import Caller, Role, Tokens, read_tokens
from services.server.settings import ApiSettings

COOKIE = "loretta_token"
"""Holds a browser's token: HttpOnly, SameSite=Strict, for this host alone."""

_bearer = HTTPBearer(auto_error=False, description="A token of `loretta token NAME --role read|submit|admin`; needed unless the server has none.")


@dataclass(frozen=True)
class Services:
    """Of one server."""

    settings: ApiSettings
    runs: Runs
    submissions: Submissions

    def tokens(self) -> Tokens:
        """Read each time: a token that was removed opens nothing from that moment. The file is small."""
        found = read_tokens(self.settings.tokens)
        return Tokens(found.entries, required=found.required or self.settings.tokens_required)


def services(request: Request) -> Services:
    """The server's."""
    return request.app.state.services


def asking(request: Request, services: Services) -> Caller | None:
    """Who asks, from the Authorization header or a browser's cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")
    return services.tokens().caller(given)


def needs(role: Role) -> Callable[..., Caller]:
    """A dependency: the caller, who has this role. Answers 401 or 403 otherwise."""

    def check(request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
        caller = asking(request, services(request))
        if caller is None:
            raise HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"})
        if not caller.may(role):
            raise HTTPException(403, f"the token of {caller.name!r} has the role {caller.role!r}, and this needs {role!r}")
        return caller

    return check


Here = Annotated[Services, Depends(services)]
Reader = Annotated[Caller, Depends(needs("read"))]
Submitter = Annotated[Caller, Depends(needs("submit"))]
