"""What one release has handed out or stored is read by the next, and while one replaces the other by both.

So how it is made is said here once more, in terms of hashlib and the standards alone.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from academy import crypto
from academy.models import IdempotencyKey, RefreshToken, Throttle, User
from tests.canaries import SECRET
from tests.client import Client
from tests.conftest import Api
from tests.factories import a_login_of
from tests.functions.test_pages import link_of

pytestmark = pytest.mark.usefixtures("environment")
KEY_ID = hashlib.sha256(b"academy/key-id" + SECRET.encode()).digest()[:4]


def key_for(purpose: str) -> bytes:
    """Every purpose has a key of its own, derived from the secret one."""
    return hmac.digest(SECRET.encode(), f"academy/{purpose}".encode(), "sha256")


def unpadded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(part: str) -> Any:
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_an_access_token(user: User) -> None:
    head, claims, signature = a_login_of(user).split(".")
    assert signature == unpadded(hmac.digest(key_for("token"), f"{head}.{claims}".encode(), "sha256"))
    assert decoded(head) == {"alg": "HS256", "typ": "at+jwt", "kid": KEY_ID.hex()}
    said = decoded(claims)
    assert (said["iss"], said["aud"], said["sub"]) == ("academy", "api", user.id)
    assert {"sid", "jti", "iat", "exp"} <= said.keys()


def test_a_refresh_token_and_its_successor(api: Api, session: Session) -> None:
    first = api().post("/api/auth/guest-login").body["refresh_token"]
    second = api().post("/api/auth/refresh", {"refresh_token": first}).body["refresh_token"]
    assert second == unpadded(hmac.digest(key_for("refresh"), first.encode(), "sha256"))
    kept = {hashlib.sha256(token.encode()).digest() for token in (first, second)}
    assert set(session.scalars(select(RefreshToken.token_hash))) == kept


def test_a_cursor(api: Api, user: User) -> None:
    client = api(user)
    for title in "123":
        client.post("/api/tracks", {"title": title})
    cursor = (link_of(client.get("/api/tracks?limit=2")) or "").rpartition("cursor=")[2]
    raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    signed = f"{user.id} /api/tracks\n".encode() + raw[16:]
    assert raw[:16] == hmac.digest(key_for("cursor"), signed, "sha256")[:16]


def test_an_answer_that_is_kept_for_a_day() -> None:
    sealed = crypto.seal("Привет".encode(), context="anna")
    assert sealed[:5] == b"\x01" + KEY_ID
    assert AESGCM(key_for("seal")).decrypt(sealed[5:17], sealed[17:], b"anna").decode() == "Привет"


@pytest.mark.parametrize(("headers", "browser"), [({"User-Agent": "Firefox"}, "Firefox"), ({}, "")])
def test_the_keys_of_somebody_without_an_account(
    headers: dict[str, str], browser: str, transaction: Connection, session: Session
) -> None:
    Client(address="203.0.113.7", headers=headers).post("/api/auth/guest-login", idempotency_key="key-1")
    caller = hmac.digest(key_for("idempotency"), f"203.0.113.7\n{browser}".encode(), "sha256")
    assert session.scalars(select(IdempotencyKey.scope)).all() == [f"anonymous/{caller.hex()}"]


def test_a_count_of_guesses(api: Api, session: Session) -> None:
    api().post("/api/auth/login", {"email": "anna@example.com", "password": "a wrong guess"})
    kept = set(session.scalars(select(Throttle.key)))
    assert hmac.digest(key_for("throttle/wrong passwords per account"), b"anna@example.com", "sha256") in kept
