"""Asking a model, with a row in the books for every question, answered or not."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import insert, literal, select

from academy import llm
from academy.db import session_scope
from academy.models import AIUsage, User
from academy.observability import logger
from ai import configuration
from ai.configuration import Choice

T = TypeVar("T")

SECONDS = 25.0
"""An HTTP API gives up on its integration after 30 s; what is left is for the rest of the request."""


def ask(question: Callable[[llm.Model], llm.Answer[T]], *, purpose: str, user_id: str) -> llm.Answer[T]:
    """The answer of this user's model. Raises `ModelError`, `KeyUnreadable`. No transaction may be open."""
    with session_scope(user_id) as session:
        choice = configuration.choose(session, user_id)
    return ask_this(choice, question, purpose=purpose, user_id=user_id)


def ask_this(
    choice: Choice, question: Callable[[llm.Model], llm.Answer[T]], *, purpose: str, user_id: str
) -> llm.Answer[T]:
    started = time.perf_counter()
    try:
        answer = question(choice.model)
    except llm.ModelError as error:
        _record(choice, purpose, user_id, started, error.usage, error.calls, error.code)
        raise
    _record(choice, purpose, user_id, started, answer.usage, answer.calls, "ok")
    return answer


def _record(
    choice: Choice,
    purpose: str,
    user_id: str,
    started: float,
    usage: llm.Usage,
    calls: int,
    outcome: str,
) -> None:
    row: dict[str, Any] = {
        "purpose": purpose,
        "model": choice.model.name[:200],
        "own_key": choice.own_key,
        "calls": calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "duration_ms": round((time.perf_counter() - started) * 1000),
        "outcome": outcome,
    }
    logger.info("model asked", user_id=user_id, **row)
    # From a select, because the user may be gone by now: then there is nobody to keep books for.
    owner = select(User.id, *(literal(value) for value in row.values())).where(User.id == user_id)
    with session_scope(user_id) as session:
        session.execute(insert(AIUsage).from_select(["user_id", *row], owner))
