"""Who may open a socket: somebody with a token, from a page of ours, and not with too many at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from academy import connections
from academy.auth import Claims, read_token, user_of
from academy.config import settings
from academy.connections import Channel, Connection
from academy.db import session_scope
from academy.errors import Forbidden, Invalid, Unauthorized
from academy.models import SESSION_KEY_LENGTH
from academy.observability import logger
from academy.payload import MalformedBody, check_text
from academy.websocket import Handshake
from academy.websocket.push import close

MOST_PER_USER = 10


class ForeignOrigin(Forbidden):
    code = "foreign_origin"

    def __init__(self) -> None:
        super().__init__("This page may not connect.")


def admit(handshake: Handshake) -> None:
    """Remember the connection. Raises `Unauthorized`, `ForeignOrigin`, `Invalid`."""
    claims = _claims(handshake)
    session_key, channel = _session_key(handshake), _channel(handshake)
    with session_scope() as session:
        user_of(session, claims)
    _make_room(claims.user_id)
    connections.remember(
        Connection(
            id=handshake.connection_id,
            user_id=claims.user_id,
            session_key=session_key,
            channel=channel,
            login_id=claims.login_id,
            token_expires_at=claims.expires_at,
            connected_at=datetime.now(UTC),
        )
    )
    logger.info("socket opened", user_id=claims.user_id, channel=channel)


def _claims(handshake: Handshake) -> Claims:
    if (given := handshake.token()) is None:
        raise Unauthorized
    token, audience = given
    claims = read_token(token, audience=audience)
    # A browser sends the cookie along whoever's page opens the socket; only its origin tells.
    is_ours = handshake.origin in settings().allowed_origins
    if not is_ours and (handshake.origin is not None or audience == "ws"):
        raise ForeignOrigin
    return claims


def _session_key(handshake: Handshake) -> str:
    key = handshake.query.get("session_id", "")
    try:
        check_text(key)
    except MalformedBody as error:
        raise Invalid(error.detail) from None
    if not 1 <= len(key) <= SESSION_KEY_LENGTH:
        raise Invalid(f"session_id takes 1 to {SESSION_KEY_LENGTH} characters.")
    return key


def _channel(handshake: Handshake) -> Channel:
    wanted = handshake.query.get("channel", "chat")
    for channel in get_args(Channel):
        if channel == wanted:
            return channel  # type: ignore[no-any-return]  # get_args forgets the type
    raise Invalid("channel is chat or switch.")


def _make_room(user_id: str) -> None:
    """Close a user's oldest sockets, so that one more is not too many: some may have broken hours ago."""
    others = connections.of_user(user_id)
    for connection in others[: max(0, len(others) + 1 - MOST_PER_USER)]:
        close(connection.id)
