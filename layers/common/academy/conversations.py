"""Where a conversation goes on, and how a person's words are kept before anybody answers them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from academy.errors import NotFound
from academy.models import Chat, ChatSession, Message, Module
from academy.repositories import Chats, ChatSessions, Messages
from academy.repositories.chats import LECTURE, PLANNING


class ChatGone(NotFound):
    code = "chat_gone"

    def __init__(self) -> None:
        super().__init__("chat any more")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that is stored, and its reply; `is_open` if somebody has still to write that."""

    question: Message
    reply: Message
    is_open: bool


def open_chat(
    session: Session,
    *,
    owner_id: str,
    session_key: str | None,
    chat_id: UUID | None = None,
    track_id: UUID | None = None,
    module: Module | None = None,
    switched: bool = False,
) -> Chat:
    """The chat that is named, or the session's active one of the right kind, made if there is none.

    With `switched`, the one that the session was switched to comes before the active one. A session
    without a track takes `track_id`; one without a name is the track's own. Raises `NotFound` for a chat
    that is not in this session or not about this module, and for a session of another track. Wants the
    track locked, if one is named: whoever locks both begins with the track.
    """
    chats = Chats(session)
    chat_session = ChatSessions(session).get_or_create(session_key or str(track_id), owner_id=owner_id)
    _bind(chat_session, track_id)
    if chat_id is None and switched:
        chat_id = chat_session.current_chat_id
    if chat_id is not None:
        chat = _named(session, chat_session, chat_id, owner_id)
        if module and chat.module_id != module.id:
            raise NotFound("chat")
        return chat
    kind, module_id = (LECTURE, module.id) if module else (PLANNING, None)
    if active := chats.active(chat_session, kind, module_id):
        active.session = chat_session
        return active
    name = module.title if module else ""
    return chats.add(Chat(session=chat_session, chat_type=kind, module_id=module_id, chat_name=name))


def ask(session: Session, chat: Chat, words: str, *, client_message_id: str | None = None) -> Asked:
    """Keep a person's words and a place for the reply.

    The same words again after a reply that failed, or the same `client_message_id` at any time, are the
    same message. Wants the chat's session locked, as `open_chat` does.
    """
    messages = Messages(session)
    if client_message_id and (sent := messages.sent_as(chat.id, client_message_id)):
        return _again(session, *sent) if sent[1].status == "failed" else Asked(*sent, is_open=False)
    if unanswered := messages.unanswered(chat.id, words):
        return _again(session, *unanswered)
    question = messages.add(
        Message(
            chat_id=chat.id,
            sender_type="user",
            message_content=words,
            client_message_id=client_message_id,
        )
    )
    reply = Message(chat_id=chat.id, sender_type="ai", status="pending", reply_to=question.id)
    return Asked(question, messages.add(reply), is_open=True)


def _again(session: Session, question: Message, reply: Message) -> Asked:
    reply.status, reply.message_content, reply.next_seq = "pending", "", 0
    reply.leased_until, reply.cancel_requested, reply.announced = None, False, False
    session.flush()
    return Asked(question, reply, is_open=True)


def _named(session: Session, chat_session: ChatSession, chat_id: UUID, owner_id: str) -> Chat:
    """A chat of this session, or the one that the session was switched to."""
    elsewhere = chat_id == chat_session.current_chat_id
    return Chats(session).get(chat_id, owner_id=owner_id, session_key=None if elsewhere else chat_session.key)


def _bind(chat_session: ChatSession, track_id: UUID | None) -> None:
    if track_id is None or chat_session.track_id == track_id:
        return
    if chat_session.track_id is not None:
        raise NotFound("session")
    chat_session.track_id = track_id
