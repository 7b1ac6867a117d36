"""Chats shown over a socket: restored, switched to, listed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from academy.connections import Connection
from academy.models import Chat
from academy.paging import Page
from academy.repositories import Chats, ChatSessions, Messages, Replies
from academy.shapes import ChatOut, HistoryMessage
from academy.websocket import Answer
from academy.websocket.frames import ROOM_BYTES, fitting, newest_fitting
from ws.schemas import (
    ChatRestored,
    ChatSwitched,
    HistoryRestored,
    ReplyInProgress,
    UserChats,
    UserSession,
)

PAGE = Page(limit=200)
SESSIONS = 200
ROOM_FOR_PARTIAL_REPLY = 60_000
"""Bytes, where a long reply is under way; the rest of the frame is for the history before it."""

NOTHING: dict[str, Any] = {
    "chat_id": None,
    "chat_info": None,
    "history": [],
    "message_count": 0,
    "has_more": False,
    "reply_in_progress": None,
}


def restore(session: Session, connection: Connection) -> Answer:
    """The chat that words go to now, if there is one; the session is there from now on."""
    chat_session = ChatSessions(session).get_or_create(connection.session_key, owner_id=connection.user_id)
    chat = Chats(session).current(chat_session)
    if chat is None:
        return Answer(to_asker=[ChatRestored(has_existing_chat=False, **NOTHING)])
    return Answer(to_asker=[ChatRestored(has_existing_chat=True, **_shown(session, connection, chat))])


def switch(session: Session, connection: Connection, chat_id: UUID) -> Answer:
    """From now on words that name no chat go to this one. Raises `NotFound`."""
    chat = Chats(session).get(chat_id, owner_id=connection.user_id)
    chat_session = ChatSessions(session).get_or_create(connection.session_key, owner_id=connection.user_id)
    chat_session.current_chat_id = chat.id
    return Answer(to_asker=[ChatSwitched(**_shown(session, connection, chat))])


def history(session: Session, connection: Connection, chat_id: UUID) -> Answer:
    """What was said in a chat. Raises `NotFound`."""
    chat = Chats(session).get(chat_id, owner_id=connection.user_id)
    return Answer(to_asker=[HistoryRestored(**_shown(session, connection, chat))])


def list_all(session: Session, connection: Connection) -> Answer:
    """The newest of the caller's sessions, each with its chats."""
    rows = Chats(session).by_session(owner_id=connection.user_id, sessions=SESSIONS + 1)
    sessions: list[UserSession] = []
    room = ROOM_BYTES
    for chat_session, title, chats in rows:
        entry = UserSession(
            session_id=chat_session.key,
            session_name=chat_session.session_name,
            track_id=chat_session.track_id,
            track_title=title,
            session_created_at=chat_session.created_at,
            chats=[ChatOut.model_validate(chat) for chat in chats],
        )
        room -= len(entry.model_dump_json().encode()) + 1
        if room < 0 or len(sessions) == SESSIONS:
            return Answer(to_asker=[UserChats(chats=sessions, has_more=True)])
        sessions.append(entry)
    return Answer(to_asker=[UserChats(chats=sessions, has_more=False)])


def _shown(session: Session, connection: Connection, chat: Chat) -> dict[str, Any]:
    # The reply first: should it end meanwhile it shows twice, under one id, rather than not at all.
    reply = _in_progress(session, chat.id)
    said = Messages(session).newest(chat.id, owner_id=connection.user_id, page=PAGE)
    room = ROOM_BYTES - (len(reply.model_dump_json().encode()) if reply else 0)
    shown, cut = newest_fitting(_history(said[: PAGE.limit]), room)
    return {
        "chat_id": chat.id,
        "chat_info": ChatOut.model_validate(chat),
        "history": shown,
        "message_count": len(shown),
        "has_more": cut or len(said) > PAGE.limit,
        "reply_in_progress": reply,
    }


def _in_progress(session: Session, chat_id: UUID) -> ReplyInProgress | None:
    reply = Replies(session).in_progress(chat_id)
    if reply is None:
        return None
    text = fitting(reply.message_content, ROOM_FOR_PARTIAL_REPLY)
    has_more = len(text) < len(reply.message_content)
    return ReplyInProgress(message_id=reply.id, content=text, has_more=has_more, next_seq=reply.next_seq)


def _history(messages: Iterable[Any]) -> list[HistoryMessage]:
    return [HistoryMessage.model_validate(message) for message in messages]
