"""Log-ins and their refresh tokens: each is used once, and a used one that comes back ends its family.

All of it by the database's clock: a host whose own is wrong ends nothing early and revives nothing.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Update, func, or_, select, update
from sqlalchemy.orm import Session

from academy import auth, crypto
from academy.config import settings
from academy.errors import Unauthorized
from academy.models import Login, RefreshToken, User

LOGIN_LIFE = timedelta(days=90)
IDLE_LIFE = timedelta(days=30)
GRACE = timedelta(seconds=10)
"""How long a used token still brings its successor, for the client whose answer got lost."""


class BadRefreshToken(Unauthorized):
    code = "bad_refresh_token"

    def __init__(self) -> None:
        super().__init__("This refresh token is not valid any more. Log in again.")


class RefreshReused(Unauthorized):
    code = "refresh_reused"

    def __init__(self) -> None:
        super().__init__("This refresh token was used before, so its log-in has been ended. Log in again.")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in hands out. `expires_in` is in seconds, and holds for the access and the socket token."""

    access_token: str
    socket_token: str
    refresh_token: str
    expires_in: int
    user: User


def begin_login(session: Session, user: User) -> Tokens:
    """A new log-in of this user, with the first refresh token of its family."""
    login = Login(user_id=user.id, expires_at=func.now() + LOGIN_LIFE)
    session.add(login)
    session.flush()
    refresh_token = secrets.token_urlsafe(32)
    _add(session, login.id, refresh_token, func.now() + IDLE_LIFE)
    return _tokens(user, login.id, refresh_token)


def rotate(session: Session, refresh_token: str) -> Tokens | None:
    """The next tokens of a family, or `None` if the token was used before: the family is ended then.

    Raises `BadRefreshToken`. `None` is no exception because ending the family has to be committed.
    """
    row = _find(session, refresh_token)
    if row is None:
        raise BadRefreshToken
    token, login, user, now = row
    successor = _successor(refresh_token)
    if token.used_at is None:
        token.used_at = now
        _add(session, login.id, successor, min(now + IDLE_LIFE, login.expires_at))
    elif not _answer_was_lost(session, now - token.used_at, successor):
        login.ended_at = now
        return None
    return _tokens(user, login.id, successor)


def end_login(session: Session, login_id: UUID) -> None:
    session.execute(_end().where(Login.id == login_id))


def end_logins(session: Session, user_id: str, *, but: UUID | None = None) -> None:
    """End every log-in of a user, or every other one."""
    statement = _end().where(Login.user_id == user_id)
    session.execute(statement.where(Login.id != but) if but else statement)


def _end() -> Update:
    return update(Login).where(Login.ended_at.is_(None)).values(ended_at=func.now())


def _find(session: Session, refresh_token: str) -> Row[RefreshToken, Login, User, datetime] | None:
    now = func.now()
    query = (
        select(RefreshToken, Login, User, now)
        .select_from(RefreshToken)
        .join(Login)
        .join(User)
        .where(
            RefreshToken.token_hash == _hash(refresh_token),
            RefreshToken.expires_at > now,
            Login.ended_at.is_(None),
            Login.expires_at > now,
            User.is_active,
            or_(User.expires_at.is_(None), User.expires_at > now),
        )
        # All of them: who waited for a lock sees only the locked rows as they are by then. The user first,
        # as whoever upgrades or deletes one does: two that lock in different orders wait for each other.
        .with_for_update(of=(User, RefreshToken, Login))
    )
    return session.execute(query).one_or_none()


def _answer_was_lost(session: Session, since: timedelta, successor: str) -> bool:
    """A token may come again if it was used just now, and nobody has used what it brought."""
    if since > GRACE:
        return False
    query = select(RefreshToken.used_at).where(RefreshToken.token_hash == _hash(successor))
    return session.scalars(query).one_or_none() is None


def _add(
    session: Session, login_id: UUID, refresh_token: str, expires_at: datetime | ColumnElement[datetime]
) -> None:
    session.add(RefreshToken(token_hash=_hash(refresh_token), login_id=login_id, expires_at=expires_at))
    session.flush()


def _tokens(user: User, login_id: UUID, refresh_token: str) -> Tokens:
    return Tokens(
        access_token=auth.issue_token(user.id, login_id),
        socket_token=auth.issue_token(user.id, login_id, audience="ws"),
        refresh_token=refresh_token,
        expires_in=settings().access_token_expire_minutes * 60,
        user=user,
    )


def _successor(refresh_token: str) -> str:
    """Derived, not random: a repeated request gets the same successor, and none but us can tell it."""
    return urlsafe_b64encode(crypto.keyed_hash("refresh", refresh_token)).decode().removesuffix("=")


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
