"""One exchange in a chat over HTTP: the caller waits for the whole reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from academy import llm
from academy.conversations import ChatGone, ask, open_chat
from academy.db import session_scope
from academy.errors import AppError
from academy.models import Message, Module
from academy.repositories import Messages, Modules, Replies, Tracks
from ai import replies
from ai.asking import SECONDS
from ai.draft import Nobody
from ai.replies import TakenOver


@dataclass(frozen=True, slots=True)
class Said:
    """What the tutor said, and what it cost in tokens."""

    chat_id: UUID
    text: str
    tokens_used: int
    model_used: str


def converse(
    session: Session,
    *,
    owner_id: str,
    session_key: str,
    words: str,
    chat_id: UUID | None = None,
    track_id: UUID | None = None,
    module: UUID | int | None = None,
    remark: Any = None,
    repetition: str | None = None,
) -> Said:
    """The tutor's reply to a person's words. Raises `NotFound`, `ModelError`.

    `track_id` and `module` make it a talk about that module; `remark` is what the client knows besides;
    the same `repetition` is the same message. The reply is committed with the caller's `session`.
    """
    with session_scope(owner_id) as asking:
        studied = _begin_module(asking, owner_id, track_id, module)
        chat = open_chat(
            asking,
            owner_id=owner_id,
            session_key=session_key,
            chat_id=chat_id,
            track_id=track_id,
            module=studied,
            switched=studied is None,
        )
        asked = ask(asking, chat, words, client_message_id=repetition)
        claim = Replies(asking).claim(asked.reply.id, owner_id=owner_id)
        if claim is None:
            raise TakenOver
        assignment = replies.assign(asking, claim, chat, asked.question, owner_id=owner_id, remark=remark)
    try:
        reply = replies.write(assignment, Nobody(), seconds=SECONDS, session=session)
    except AppError:
        raise  # the reply's end is stored
    except BaseException:
        session.rollback()  # or there might be no connection left to say so
        replies.abandon(claim)
        raise
    return Said(reply.chat_id, reply.message_content, reply.tokens_used or 0, reply.ai_model_used or "")


def say(session: Session, chat_id: UUID, answer: llm.Answer[str]) -> Said:
    """Keep what the tutor said unasked. Raises `ChatGone`."""
    message = Message(chat_id=chat_id, sender_type="ai", **replies.columns(answer))
    try:
        Messages(session).add(message)
    except IntegrityError:
        raise ChatGone from None
    return Said(chat_id, answer.content, answer.usage.total, answer.model)


def _begin_module(
    session: Session, owner_id: str, track_id: UUID | None, module: UUID | int | None
) -> Module | None:
    """Who talks about a module studies it: from then on a new plan leaves it alone."""
    if track_id is None or module is None:
        return None
    Tracks(session).get(track_id, owner_id=owner_id, lock=True)
    found = Modules(session).get(module, track_id=track_id, owner_id=owner_id)
    Modules(session).begin(found.id)
    return found
