"""One exchange in a chat: words are stored first, the model is asked, the reply is stored last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from academy import llm
from academy.db import session_scope
from academy.errors import NotFound
from academy.models import Chat, ChatSession, Message, Module, Track
from academy.paging import Page
from academy.repositories import Chats, ChatSessions, Messages, Modules, Tracks
from ai import context, prompts
from ai.asking import SECONDS, ask

PLANNING, LECTURE = "track_manager", "lecture_agent"


class ChatGone(NotFound):
    code = "chat_gone"

    def __init__(self) -> None:
        super().__init__("chat any more")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that is stored, a reply that is pending, and what to ask the model for it."""

    owner_id: str
    chat_id: UUID
    reply_id: UUID
    prompt: list[llm.Message]


@dataclass(frozen=True, slots=True)
class Said:
    """What the tutor said, and what it cost in tokens."""

    chat_id: UUID
    text: str
    tokens_used: int
    model_used: str


def converse(
    *,
    owner_id: str,
    session_key: str,
    words: str,
    chat_id: UUID | None = None,
    track_id: UUID | None = None,
    module: UUID | int | None = None,
    remark: Any = None,
) -> Said:
    """The tutor's reply to a person's words. Raises `NotFound`, `ModelError`.

    `track_id` and `module` make it a talk about that module; `remark` is what the client knows besides.
    """
    with session_scope() as session:
        studied = _begin_module(session, owner_id, track_id, module)
        chat = open_chat(
            session,
            owner_id=owner_id,
            session_key=session_key,
            chat_id=chat_id,
            track_id=track_id,
            module=studied,
        )
        exchange = _begin(session, owner_id, chat, words, remark)
    try:
        answer = ask(
            lambda model: llm.complete(exchange.prompt, model=model, seconds=SECONDS),
            purpose="chat",
            user_id=owner_id,
        )
    except BaseException:
        _settle(exchange, status="failed")
        raise
    if not _settle(exchange, status="complete", **said_by(answer)):
        raise ChatGone
    return Said(exchange.chat_id, answer.content, answer.usage.total, answer.model)


def open_chat(
    session: Session,
    *,
    owner_id: str,
    session_key: str | None,
    chat_id: UUID | None = None,
    track_id: UUID | None = None,
    module: Module | None = None,
) -> Chat:
    """The chat that is named, or the session's active one of the right kind, made if there is none.

    A session without a track takes `track_id`; one without a name is the track's own. Raises `NotFound`
    for a chat that is not in this session or not about this module, and for a session of another track.
    """
    chats = Chats(session)
    chat_session = ChatSessions(session).get_or_create(session_key or str(track_id), owner_id=owner_id)
    _bind(chat_session, track_id)
    if chat_id is not None:
        chat = chats.get(chat_id, owner_id=owner_id, session_key=session_key)
        if module and chat.module_id != module.id:
            raise NotFound("chat")
        return chat
    kind, module_id = (LECTURE, module.id) if module else (PLANNING, None)
    if active := chats.active(chat_session, kind, module_id):
        active.session = chat_session
        return active
    name = module.title if module else ""
    return chats.add(Chat(session=chat_session, chat_type=kind, module_id=module_id, chat_name=name))


def _bind(chat_session: ChatSession, track_id: UUID | None) -> None:
    if track_id is None or chat_session.track_id == track_id:
        return
    if chat_session.track_id is not None:
        raise NotFound("session")
    chat_session.track_id = track_id


def say(chat_id: UUID, answer: llm.Answer[str]) -> Said:
    """Keep what the tutor said unasked. Raises `ChatGone`."""
    message = Message(chat_id=chat_id, sender_type="ai", **said_by(answer))
    try:
        with session_scope() as session:
            Messages(session).add(message)
    except IntegrityError:
        raise ChatGone from None
    return Said(chat_id, answer.content, answer.usage.total, answer.model)


def said_by(answer: llm.Answer[str]) -> dict[str, Any]:
    """An answer as a message's columns."""
    return {
        "message_content": answer.content,
        "tokens_used": answer.usage.total,
        "ai_model_used": answer.model[:200],
    }


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


def _begin(session: Session, owner_id: str, chat: Chat, words: str, remark: Any) -> Exchange:
    reply = _pending_reply(session, chat, words)
    return Exchange(owner_id, chat.id, reply.id, _prompt(session, owner_id, chat, remark))


def _pending_reply(session: Session, chat: Chat, words: str) -> Message:
    messages = Messages(session)
    if unanswered := messages.unanswered(chat.id, words):
        # Asking again after a failure: the words are stored already, and stay one message.
        reply = unanswered[1]
        reply.status = "pending"
        session.flush()
        return reply
    question = messages.add(Message(chat_id=chat.id, sender_type="user", message_content=words))
    return messages.add(Message(chat_id=chat.id, sender_type="ai", status="pending", reply_to=question.id))


def _prompt(session: Session, owner_id: str, chat: Chat, remark: Any) -> list[llm.Message]:
    said = Messages(session).newest(chat.id, owner_id=owner_id, page=Page(limit=context.TURNS_READ))
    track = _track_of(session, owner_id, chat)
    facts = context.track_facts(track)
    if remark:
        facts["track_context"] = context.shortened(remark)
    if chat.module_id is None:
        return prompts.ask(prompts.PLANNING, facts, context.turns(said))
    module = Modules(session).get(chat.module_id, owner_id=owner_id)
    return prompts.ask(prompts.LECTURE, facts | context.module_facts(module), context.turns(said))


def _track_of(session: Session, owner_id: str, chat: Chat) -> Track | None:
    track_id = chat.session.track_id
    if chat.module_id is not None:
        track_id = Modules(session).get(chat.module_id, owner_id=owner_id).track_id
    return Tracks(session).get(track_id, owner_id=owner_id) if track_id else None


def _settle(exchange: Exchange, **values: Any) -> bool:
    with session_scope() as session:
        return Messages(session).settle(exchange.reply_id, **values) is not None
