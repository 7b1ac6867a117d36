"""Asking a model: its tokens are taken out of the budget first, and every question is in the books after."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import insert, literal, select
from sqlalchemy.exc import IntegrityError

from academy import llm
from academy.db import session_scope
from academy.errors import Unauthorized
from academy.models import AIUsage, User
from academy.observability import logger
from academy.throttle import Limit
from ai import budget, configuration
from ai.budget import QuotaExceeded, Reservation
from ai.configuration import Choice

T = TypeVar("T")

SECONDS = 25.0
"""An HTTP API gives up on its integration after 30 s; what is left is for the rest of the request."""

QUESTIONS = Limit("questions per user", 60, timedelta(minutes=1))
"""Over HTTP, whoever's key pays: as many in the long run as messages over a socket, in larger bursts."""


def ask(
    question: Callable[[llm.Model], llm.Answer[T]],
    *,
    prompt: Sequence[llm.Message],
    purpose: str,
    user_id: str,
    reply_id: UUID | None = None,
) -> llm.Answer[T]:
    """The answer of this user's model; `prompt` is what it will be asked, to know what that may cost.

    Raises `ModelError`, `KeyUnreadable`, `QuotaExceeded`. No transaction may be open. What takes longer
    than `SECONDS` names the reply it is for, whose lease then keeps its tokens.
    """
    choice = configuration.choose(user_id)
    return ask_this(choice, question, prompt=prompt, purpose=purpose, user_id=user_id, reply_id=reply_id)


def ask_this(
    choice: Choice,
    question: Callable[[llm.Model], llm.Answer[T]],
    *,
    prompt: Sequence[llm.Message],
    purpose: str,
    user_id: str,
    reply_id: UUID | None = None,
) -> llm.Answer[T]:
    reservation = None
    if not choice.own_key:
        reservation = _reserve(user_id, llm.estimate_prompt(prompt) + choice.model.max_tokens, reply_id)
    entry = _Entry(choice, purpose, user_id, reservation)
    try:
        answer = question(choice.model)
    except llm.ModelError as error:
        entry.close(error.usage, error.calls, error.code)
        raise
    except BaseException:
        entry.give_back()
        raise
    entry.close(answer.usage, answer.calls, "ok")
    return answer


def _reserve(user_id: str, tokens: int, reply_id: UUID | None) -> Reservation:
    try:
        with session_scope(user_id) as session:
            return budget.reserve(
                session, user_id=user_id, tokens=tokens, now=datetime.now(UTC), reply_id=reply_id
            )
    except QuotaExceeded as error:
        logger.warning("budget exceeded", user_id=user_id, whose=error.whose, tokens=tokens)
        raise
    except IntegrityError:
        # Whoever asked has left at this moment.
        raise Unauthorized from None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A question as the books have it, from when it is asked."""

    choice: Choice
    purpose: str
    user_id: str
    reservation: Reservation | None
    started: float = field(default_factory=time.perf_counter)

    def close(self, usage: llm.Usage, calls: int, outcome: str) -> None:
        row: dict[str, Any] = {
            "purpose": self.purpose,
            "model": self.choice.model.name[:200],
            "own_key": self.choice.own_key,
            "calls": calls,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "duration_ms": round((time.perf_counter() - self.started) * 1000),
            "outcome": outcome,
        }
        logger.info("model asked", user_id=self.user_id, **row)
        # From a select, because the user may be gone by now: then there is nobody to keep books for.
        owner = select(User.id, *(literal(value) for value in row.values())).where(User.id == self.user_id)
        with session_scope(self.user_id) as session:
            session.execute(insert(AIUsage).from_select(["user_id", *row], owner))
            if self.reservation:
                budget.settle(session, self.reservation, usage.total)

    def give_back(self) -> None:
        """For a question that ended by a fault of ours, before anybody counted its tokens."""
        if self.reservation:
            with session_scope(self.user_id) as session:
                budget.settle(session, self.reservation, 0)
