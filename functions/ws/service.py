"""What is said over a socket: kept and accepted at once, answered by a worker."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from academy import throttle
from academy.connections import Connection
from academy.conversations import ask, open_chat
from academy.errors import NotFound
from academy.queue import ReplyJob
from academy.repositories import Chats, ChatSessions, Messages, Replies
from academy.throttle import Limit
from academy.websocket import AiResponse, Answer
from ws.schemas import Cancel, MessageAccepted, Words

MESSAGES = Limit("messages per user", 10, timedelta(seconds=10))


def say(session: Session, connection: Connection, words: Words) -> Answer:
    """Keep the words and have them answered. Raises `RateLimited`, `NotFound` for the chat."""
    throttle.count(session, MESSAGES, connection.user_id)
    chat = open_chat(
        session,
        owner_id=connection.user_id,
        session_key=connection.session_key,
        chat_id=words.chat_id,
        switched=True,
    )
    asked = ask(session, chat, words.message, client_message_id=words.client_message_id)
    accepted = MessageAccepted(
        chat_id=chat.id, message_id=asked.question.id, client_message_id=words.client_message_id
    )
    if not asked.is_open:
        return Answer(to_asker=[accepted])
    job = ReplyJob(
        reply_id=asked.reply.id,
        owner_id=connection.user_id,
        chat_id=chat.id,
        lane=chat.lane,
        session_key=connection.session_key,
        connection_id=connection.id,
    )
    return Answer(to_session=[accepted], also_on=[chat.session.key], job=job)


def cancel(session: Session, connection: Connection, frame: Cancel) -> Answer:
    """Stop replies. One that nobody has begun ends here, the others where they are written.

    Raises `NotFound` for a message that is not the caller's.
    """
    if frame.message_id is not None:
        stopped = Replies(session).cancel(owner_id=connection.user_id, message_id=frame.message_id)
        if not stopped and not Messages(session).is_known(frame.message_id, owner_id=connection.user_id):
            raise NotFound("message")
    else:
        chat_session = ChatSessions(session).get_or_create(
            connection.session_key, owner_id=connection.user_id
        )
        chat = Chats(session).current(chat_session)
        stopped = Replies(session).cancel(owner_id=connection.user_id, chat_id=chat.id) if chat else []
    return Answer(to_session=[AiResponse.of(reply) for reply in stopped if reply.status == "cancelled"])
