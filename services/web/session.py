"""FastAPI dependencies of pages: the signed-in caller with the role that a page requires. A page without a token redirects to /login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from services.api.dependencies import authenticate, check_role
from services.server.auth import Caller, Role


class SignInRequired(Exception):
    """Raised when a page needs a token and the request has none."""


def require_sign_in(role: Role) -> Callable[..., Caller]:
    """Return a dependency that gives the caller; it raises SignInRequired without a token and answers 403 without the role."""

    def check(request: Request) -> Caller:
        caller = authenticate(request)
        if caller is None:
            raise SignInRequired
        check_role(caller, role)
        return caller

    return check


Reader = Annotated[Caller, Depends(require_sign_in("read"))]
Submitter = Annotated[Caller, Depends(require_sign_in("submit"))]
