"""Idempotency-Key: the same POST again is the same answer and one effect.

The key is claimed in the request's transaction, so it vanishes with an effect that fails. A request that
lets go of its connection leaves a lease behind instead, which `forget` takes back when it fails. Either way
the answer is stored in the transaction that has the effect: nobody can lose one of the two.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Header
from pydantic import WithJsonSchema
from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from academy import crypto
from academy.auth import Claims
from academy.db import session_scope
from academy.errors import Conflict, Invalid
from academy.http.dependencies import Address, OptionalUser, SessionDep
from academy.models import IdempotencyKey

KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=35)
"""A little longer than any function that serves a request may run (29 s, see the template)."""
SANE_KEY = re.compile(r"[\x21-\x7e]{1,255}")

ENDING = frozenset(
    {("POST", "/api/auth/logout"), ("POST", "/api/auth/logout-all"), ("POST", "/api/auth/register")}
)
"""These end the log-in that they are called with: repeated, they come with a token that opens nothing."""

Key = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{SANE_KEY.pattern}$"})]


class BadKey(Invalid):
    code = "bad_idempotency_key"


class Mismatch(Invalid):
    code = "idempotency_mismatch"


class InProgress(Conflict):
    code = "idempotency_in_progress"

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key is still running. Ask again shortly.",
            headers={"Retry-After": "2"},
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry out a POST under this key."""

    scope: str
    key: str
    owner_id: str | None
    """Nobody's where the caller has no account."""

    @property
    def context(self) -> str:
        return f"idempotency/{self.scope}/{self.key}"


class Replay(Exception):
    """The answer that was given before."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def response(self) -> Response:
        response = Response(base64.b64decode(self.answer["body"]), self.answer["status"])
        response.raw_headers = [(name.encode(), value.encode()) for name, value in self.answer["headers"]]
        return response


async def claim(
    request: Request,
    session: SessionDep,
    user: OptionalUser,
    address: Address,
    idempotency_key: Annotated[Key | None, Header(description="Makes repeating this POST harmless.")] = None,
) -> None:
    """Claim the caller's key for this request, or answer with what it brought the first time."""
    if idempotency_key is None or request.method != "POST":
        return
    if not SANE_KEY.fullmatch(idempotency_key):
        raise BadKey("Idempotency-Key takes 1 to 255 visible ASCII characters, best a UUID.")
    owner_id = user.id if user else None
    mine = Claim(owner_id or _anonymous(request, address), idempotency_key, owner_id)
    fingerprint = await _fingerprint(request)
    if _insert(session, mine, fingerprint):
        request.state.claim = mine
        return
    _answer_again(_find(session, mine), mine, fingerprint)


async def answer_who_ended(request: Request) -> None:
    """Answer somebody who is refused because this very request, sent before, has ended their log-in.

    Their token is still one of ours and not too old; the answer goes to whoever knows key and body.
    """
    claims: Claims | None = getattr(request.state, "claims", None)
    key = request.headers.get("idempotency-key")
    if claims is None or key is None or (request.method, request.scope["path"]) not in ENDING:
        return
    mine = Claim(claims.user_id, key, claims.user_id)
    with session_scope(claims.user_id) as session:
        row = _find(session, mine)
    if row is not None:
        _answer_again(row, mine, await _fingerprint(request))


def remember(request: Request, response: Response) -> None:
    """Keep the answer, in the transaction of its effect."""
    mine: Claim | None = getattr(request.state, "claim", None)
    if mine is None:
        return
    headers = [(name.decode(), value.decode()) for name, value in response.raw_headers]
    answer = {
        "status": response.status_code,
        "headers": headers,
        "body": base64.b64encode(bytes(response.body)).decode(),
    }
    sealed = crypto.seal(json.dumps(answer).encode(), context=mine.context)
    session: Session = request.state.session
    row = session.get_one(IdempotencyKey, (mine.scope, mine.key))
    row.sealed_answer = sealed
    session.flush()


def forget(request: Request) -> None:
    """Give back a key whose lease is already committed: failures are not remembered."""
    mine: Claim | None = getattr(request.state, "claim", None)
    if mine is None or not getattr(request.state, "let_go", False):
        return
    request.state.session.rollback()  # which may hold the only connection there is
    with session_scope(mine.owner_id) as session:
        session.execute(delete(IdempotencyKey).where(_is(mine)))


def _insert(session: Session, mine: Claim, fingerprint: bytes) -> bool:
    fresh = insert(IdempotencyKey).values(
        scope=mine.scope, key=mine.key, fingerprint=fingerprint, leased_until=func.now() + LEASE
    )
    is_free = or_(
        IdempotencyKey.created_at < func.now() - KEPT,
        and_(IdempotencyKey.sealed_answer.is_(None), IdempotencyKey.leased_until < func.now()),
    )
    statement = fresh.on_conflict_do_update(
        index_elements=[IdempotencyKey.scope, IdempotencyKey.key],
        set_={
            "fingerprint": fresh.excluded.fingerprint,
            "leased_until": fresh.excluded.leased_until,
            "sealed_answer": None,
            "created_at": func.now(),
        },
        where=is_free,
    ).returning(IdempotencyKey.key)
    return session.scalar(statement) is not None


async def _fingerprint(request: Request) -> bytes:
    body = await request.body()
    return hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + body).digest()


def _find(session: Session, mine: Claim) -> IdempotencyKey | None:
    return session.scalars(select(IdempotencyKey).where(_is(mine))).one_or_none()


def _answer_again(row: IdempotencyKey | None, mine: Claim, fingerprint: bytes) -> None:
    if row is not None and row.fingerprint != fingerprint:
        raise Mismatch("This Idempotency-Key was used with another request. Make a new key.")
    if row is None or row.sealed_answer is None:
        raise InProgress
    raise Replay(json.loads(crypto.unseal(row.sealed_answer, context=mine.context)))


def _is(mine: Claim) -> Any:
    return and_(IdempotencyKey.scope == mine.scope, IdempotencyKey.key == mine.key)


def _anonymous(request: Request, address: str) -> str:
    """Somebody without an account is told apart by address and browser."""
    caller = f"{address}\n{request.headers.get('user-agent', '')}"
    return "anonymous/" + crypto.keyed_hash("idempotency", caller).hex()


async def get_repetition(request: Request) -> str | None:
    """What this request and each repetition of it have in common, if their sender named a key."""
    mine: Claim | None = getattr(request.state, "claim", None)
    return hashlib.sha256(f"{mine.scope}\n{mine.key}".encode()).hexdigest() if mine else None


Repetition = Annotated[str | None, Depends(get_repetition)]
