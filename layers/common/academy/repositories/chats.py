"""Sessions, the chats in them, and what was said."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased, contains_eager

from academy.errors import NotFound
from academy.models import Chat, ChatSession, Message, Module, Track
from academy.paging import Page, newest_first

PATIENCE = timedelta(seconds=60)
"""Nobody works on a reply that has been pending for longer."""

VISIBLE = ("complete", "cancelled")
"""Messages somebody has said to the end, or as far as they were let; the others are still being made."""


class ChatSessions:
    def __init__(self, session: Session) -> None:
        self.session = session

    def newest(self, *, owner_id: str, page: Page) -> Sequence[ChatSession]:
        query = select(ChatSession).where(ChatSession.user_id == owner_id)
        return self.session.scalars(newest_first(query, ChatSession, page)).all()

    def get(self, key: str, *, owner_id: str) -> ChatSession:
        """Raises `NotFound`."""
        query = select(ChatSession).where(ChatSession.user_id == owner_id, ChatSession.key == key)
        if found := self.session.scalars(query).one_or_none():
            return found
        raise NotFound("session")

    def get_or_create(self, key: str, *, owner_id: str) -> ChatSession:
        """The owner's session of that key, made on first use, and locked until the commit."""
        statement = (
            insert(ChatSession)
            .values(user_id=owner_id, key=key)
            .on_conflict_do_update(
                index_elements=[ChatSession.user_id, ChatSession.key],
                set_={"updated_at": func.clock_timestamp()},
            )
            .returning(ChatSession)
            .execution_options(populate_existing=True)
        )
        return self.session.scalars(statement).one()

    def add(self, chat_session: ChatSession) -> ChatSession:
        self.session.add(chat_session)
        self.session.flush()
        return chat_session


class Chats:
    def __init__(self, session: Session) -> None:
        self.session = session

    def of_session(self, key: str, *, owner_id: str, page: Page) -> Sequence[Chat] | None:
        """The session's chats, newest first; one more than the page holds; `None` if there is no session."""
        query = (
            select(ChatSession, Chat)
            .outerjoin(Chat, Chat.session_id == ChatSession.id)
            .options(contains_eager(Chat.session))
            .where(ChatSession.user_id == owner_id, ChatSession.key == key)
        )
        rows = self.session.execute(newest_first(query, Chat, page)).all()
        return [chat for _, chat in rows if chat] if rows else None

    def get(self, chat_id: UUID, *, owner_id: str, session_key: str | None = None) -> Chat:
        """The chat, with its session; of that session, if one is named. Raises `NotFound`."""
        query = self._owned(owner_id).where(Chat.id == chat_id)
        if session_key is not None:
            query = query.where(ChatSession.key == session_key)
        if chat := self.session.scalars(query).one_or_none():
            return chat
        raise NotFound("chat")

    def active(self, chat_session: ChatSession, chat_type: str, module_id: UUID | None = None) -> Chat | None:
        """The session's latest active chat of that type, and of that module if it is about one."""
        query = (
            select(Chat)
            .where(Chat.session_id == chat_session.id, Chat.chat_type == chat_type, Chat.status == "active")
            .order_by(Chat.created_at.desc(), Chat.id.desc())
            .limit(1)
        )
        if module_id is not None:
            query = query.where(Chat.module_id == module_id)
        return self.session.scalars(query).one_or_none()

    def add(self, chat: Chat) -> Chat:
        self.session.add(chat)
        self.session.flush()
        return chat

    @staticmethod
    def _owned(owner_id: str) -> Select[Chat]:
        return (
            select(Chat)
            .join(Chat.session)
            .options(contains_eager(Chat.session))
            .where(ChatSession.user_id == owner_id)
        )


class Messages:
    def __init__(self, session: Session) -> None:
        self.session = session

    def newest(self, chat_id: UUID, *, owner_id: str, page: Page) -> Sequence[Message]:
        """What was said, newest first; one more than the page holds. Raises `NotFound` for the chat."""
        said = and_(Message.chat_id == Chat.id, Message.status.in_(VISIBLE))
        if page.after:
            said = and_(said, Message.position < page.after[0])
        query = (
            select(Chat.id, Message)
            .join(ChatSession, ChatSession.id == Chat.session_id)
            .outerjoin(Message, said)
            .where(Chat.id == chat_id, ChatSession.user_id == owner_id)
            .order_by(Message.position.desc())
            .limit(page.limit + 1)
        )
        rows = self.session.execute(query).all()
        if not rows:
            raise NotFound("chat")
        return [message for _, message in rows if message]

    def of_module(
        self,
        module: ColumnElement[bool],
        *,
        track_id: UUID,
        owner_id: str,
        session_key: str,
        chat_id: UUID | None,
        page: Page,
    ) -> tuple[UUID | None, Sequence[Message]]:
        """The session's chat about a module, and what was said there, newest first. Raises `NotFound`."""
        theirs = select(ChatSession.id).where(ChatSession.user_id == owner_id, ChatSession.key == session_key)
        latest = (
            select(Chat.id)
            .where(Chat.session_id.in_(theirs), Chat.module_id == Module.id)
            .order_by(Chat.created_at.desc(), Chat.id.desc())
            .limit(1)
        )
        if chat_id is not None:
            latest = latest.where(Chat.id == chat_id)
        query = (
            select(Module.id, Chat.id, Message)
            .join(Track, Track.id == Module.track_id)
            .outerjoin(Chat, Chat.id == latest.correlate(Module).scalar_subquery())
            .outerjoin(Message, and_(Message.chat_id == Chat.id, Message.status.in_(VISIBLE)))
            .where(Track.id == track_id, Track.user_id == owner_id, module)
            .order_by(Message.position.desc())
            .limit(page.limit)
        )
        rows = self.session.execute(query).all()
        if not rows:
            raise NotFound("module")
        found = rows[0][1]
        if chat_id is not None and found is None:
            raise NotFound("chat")
        return found, [message for _, _, message in rows if message]

    def add(self, message: Message) -> Message:
        self.session.add(message)
        self.session.flush()
        return message

    def unanswered(self, chat_id: UUID, words: str) -> tuple[Message, Message] | None:
        """The chat's last question and its reply, if it said just this and got no answer."""
        question = aliased(Message)
        latest = select(func.max(Message.position)).where(
            Message.chat_id == chat_id, Message.sender_type == "user"
        )
        gave_up = and_(Message.status == "pending", Message.timestamp < func.now() - PATIENCE)
        query = (
            select(question, Message)
            .join(question, question.id == Message.reply_to)
            .where(
                question.chat_id == chat_id,
                question.position == latest.scalar_subquery(),
                question.message_content == words,
                or_(Message.status == "failed", gave_up),
            )
            .with_for_update(of=Message)
        )
        row = self.session.execute(query).one_or_none()
        return (row[0], row[1]) if row else None

    def settle(self, reply_id: UUID, **values: object) -> Message | None:
        """End a pending reply; `None` if it is gone, with its chat, or was ended by somebody else."""
        statement = (
            update(Message)
            .where(Message.id == reply_id, Message.status == "pending")
            .values(timestamp=func.clock_timestamp(), **values)
            .returning(Message)
        )
        return self.session.scalars(statement).one_or_none()


def position_key(message: Message) -> tuple[int]:
    """The sort key of a message, as a cursor carries it."""
    return (message.position,)
