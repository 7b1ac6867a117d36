"""What a route's signature can ask for: the transaction, who is calling, and from where."""

import hmac
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.security import HTTPBearer
from sqlalchemy.orm import Session
from starlette.requests import Request

from academy import vault
from academy.auth import Claims, read_token, user_of
from academy.config import settings
from academy.db import session_factory
from academy.errors import Unauthorized
from academy.models import User

PUBLIC_ROUTES = frozenset(
    {
        ("GET", "/api"),
        ("GET", "/api/health"),
        ("POST", "/api/auth/register"),
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/guest-login"),
        ("POST", "/api/auth/refresh"),
        ("GET", "/api/ai/default-config"),
    }
)
"""Every other route needs a token: a new one is closed until it is named here."""

UPGRADES = frozenset({("POST", "/api/auth/register")})
"""Public, but a token says whose data the new account takes over: a bad one must not be ignored."""

bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="The `access_token` of a log-in.")


async def get_session(request: Request) -> AsyncIterator[Session]:
    with session_factory()() as session:
        request.state.session = session
        yield session
        session.commit()


# With FastAPI's default scope a commit that fails would come after the response: a lost write, answered 201.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]


async def authenticate(request: Request, session: SessionDep) -> User | None:
    """The caller, or `None` on a public route without a valid token. Raises `Unauthorized`."""
    route = (request.method, request.scope["path"])
    if route in PUBLIC_ROUTES - UPGRADES:
        return None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise Unauthorized  # noqa: TRY301 - no token and a bad one are one case
        request.state.claims = claims = read_token(token.strip())
        return user_of(session, claims)
    except Unauthorized:
        if token or route not in UPGRADES:
            raise
        return None


OptionalUser = Annotated[User | None, Depends(authenticate)]


async def get_current_user(user: OptionalUser) -> User:
    if user is None:
        raise Unauthorized
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


async def get_login_id(request: Request, _: CurrentUser) -> UUID:
    claims: Claims = request.state.claims
    return claims.login_id


CurrentLogin = Annotated[UUID, Depends(get_login_id)]
"""The id of the log-in that the caller's token belongs to."""


async def get_address(request: Request) -> str:
    """The caller's network address, as the gateway saw it or CloudFront: others could claim any."""
    if _came_through_front_door(request):
        return request.headers.get("x-viewer-address", "")
    return request.client.host if request.client else ""


def _came_through_front_door(request: Request) -> bool:
    said = request.headers.get("x-front-door-key")
    if not said or not settings().front_door_key_arn:
        return False
    key = vault.read(settings().front_door_key_arn)
    return key is not None and hmac.compare_digest(said.encode(), key.encode())


Address = Annotated[str, Depends(get_address)]


async def let_go_of_connection(request: Request, session: SessionDep) -> None:
    """End the transaction that found out who is calling, before something slow begins."""
    # Said first: a commit whose answer is lost may have left the claim of an Idempotency-Key behind.
    request.state.let_go = True
    session.commit()


LET_GO = Depends(let_go_of_connection)
"""For routes that ask a model or hash a password: their services open transactions around that."""
