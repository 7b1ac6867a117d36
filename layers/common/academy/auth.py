"""Who is calling: passwords, tokens, and the one statement that turns a token into a user."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Semaphore
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

import jwt
from sqlalchemy import func, literal, or_, select
from sqlalchemy.orm import Session

from academy import crypto, db
from academy.config import settings
from academy.errors import Unauthorized
from academy.models import Login, User

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ISSUER = "academy"
MAX_TOKEN_LENGTH = 4096
CLOCKS_DIFFER = timedelta(seconds=10)
"""How far apart the clocks of two hosts may be, so that the one accepts what the other has just issued."""

_HASHING = Semaphore(os.cpu_count() or 1)
"""A hash takes a core and its memory for itself: more at once than cores would only keep others waiting."""

Audience = Literal["api", "ws"]
"""`api` tokens open the REST API and sockets; `ws` tokens, which live in a cookie, open sockets only."""

TYPES: dict[Audience, str] = {"api": "at+jwt", "ws": "ws+jwt"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. `login_id` is the `sid` claim: the log-in that it lives and dies with."""

    user_id: str
    login_id: UUID
    expires_at: datetime


def issue_token(user_id: str, login_id: UUID, *, audience: Audience = "api") -> str:
    now = datetime.now(UTC)
    secret = crypto.secrets()[0]
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": user_id,
        "sid": str(login_id),
        "jti": uuid4().hex,
        "iat": now,
        "exp": now + timedelta(minutes=settings().access_token_expire_minutes),
    }
    headers = {"typ": TYPES[audience], "kid": crypto.key_id(secret).hex()}
    return jwt.encode(claims, crypto.derive(secret, "token"), "HS256", headers=headers)


def read_token(token: str, *, audience: Audience = "api") -> Claims:
    """The claims of a token we issued for `audience`. Raises `Unauthorized` for every other string."""
    # Before the attempt: a secret key that is missing or weak is our fault, not the token's.
    keys = {crypto.key_id(secret).hex(): secret for secret in crypto.secrets()}
    try:
        return _decode(token, audience, keys)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Unauthorized from error


def _decode(token: str, audience: Audience, keys: dict[str, bytes]) -> Claims:
    if len(token) > MAX_TOKEN_LENGTH:
        raise ValueError("longer than any token of ours")
    header = jwt.get_unverified_header(token)
    if header.get("typ") != TYPES[audience]:
        raise ValueError("a token for something else")
    claims: dict[str, Any] = jwt.decode(
        token,
        crypto.derive(keys[header["kid"]], "token"),
        algorithms=["HS256"],
        audience=audience,
        issuer=ISSUER,
        leeway=CLOCKS_DIFFER,
        options={
            "require": ["exp", "iat", "iss", "aud", "sub", "jti", "sid"],
            "enforce_minimum_key_length": True,
        },
    )
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    return Claims(user_id=claims["sub"], login_id=UUID(claims["sid"]), expires_at=expires_at)


def user_of(session: Session, claims: Claims) -> User:
    """The user behind a token, if the log-in still stands. Raises `Unauthorized`.

    The token has to be good by the database's clock too: a host whose clock was set back revives nothing.
    """
    query = (
        # From here on the transaction sees what is this user's.
        select(User, func.set_config(db.USER, User.id, True))
        .join(Login)
        .where(
            User.id == claims.user_id,
            literal(claims.expires_at) > func.now(),
            User.is_active,
            or_(User.expires_at.is_(None), User.expires_at > func.now()),
            Login.id == claims.login_id,
            Login.ended_at.is_(None),
            Login.expires_at > func.now(),
        )
    )
    if row := session.execute(query).one_or_none():
        user: User = row[0]
        db.act_for(session, user.id)
        return user
    raise Unauthorized("This log-in has ended. Log in again.")


def hash_password(password: str) -> str:
    """An argon2id hash in PHC string format."""
    with _HASHING:
        return _hasher().hash(_normal(password))


def password_matches(password: str, password_hash: str | None) -> bool:
    """Whether the password is right; as slow for no account at all (`None`) as for a real one."""
    from argon2.exceptions import InvalidHashError, VerifyMismatchError

    expected = password_hash or _no_password()
    try:
        with _HASHING:
            _hasher().verify(expected, _normal(password))
    except (VerifyMismatchError, InvalidHashError):
        return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether the parameters have risen since this hash was made."""
    return _hasher().check_needs_rehash(password_hash)


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=settings().password_hash_memory_kib, parallelism=1)


@lru_cache(maxsize=1)
def _no_password() -> str:
    return _hasher().hash(uuid4().hex)


def _normal(password: str) -> str:
    # The same word typed on two keyboards may arrive as different code points (NIST 800-63B-4, 3.1.1.2).
    return unicodedata.normalize("NFC", password)
