"""Sessions, the chats in them, and what was said."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased, contains_eager

from academy.errors import NotFound
from academy.models import Chat, ChatSession, Message, Module, Track
from academy.paging import Page, newest_first
from academy.repositories.replies import UNFINISHED

VISIBLE = ("complete", "cancelled")
"""Messages somebody has said to the end, or as far as they were let; the others are still being made."""

PLANNING, LECTURE = "track_manager", "lecture_agent"

LISTED_CHATS = 50
"""Of each session, where all sessions are listed; the session itself lists the rest."""


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

    def current(self, chat_session: ChatSession) -> Chat | None:
        """Where words go that name no chat: the one that was switched to, or the active planning chat."""
        switched = select(Chat).join(Chat.session).where(Chat.id == chat_session.current_chat_id)
        if chat := self.session.scalars(switched.options(contains_eager(Chat.session))).one_or_none():
            return chat
        if chat := self.active(chat_session, PLANNING):
            chat.session = chat_session
        return chat

    def by_session(self, *, owner_id: str, sessions: int) -> list[tuple[ChatSession, str | None, list[Chat]]]:
        """The owner's newest sessions, each with its track's title and its newest chats."""
        query = (
            select(ChatSession, Track.title)
            .outerjoin(Track, Track.id == ChatSession.track_id)
            .where(ChatSession.user_id == owner_id)
        )
        rows = self.session.execute(newest_first(query, ChatSession, Page(sessions - 1))).all()
        by_session: dict[UUID, list[Chat]] = {chat_session.id: [] for chat_session, _ in rows}
        for chat in self._newest_of(by_session):
            by_session[chat.session_id].append(chat)
        return [(chat_session, title, by_session[chat_session.id]) for chat_session, title in rows]

    def _newest_of(self, session_ids: Collection[UUID]) -> Sequence[Chat]:
        order = (Chat.created_at.desc(), Chat.id.desc())
        rank = func.row_number().over(partition_by=Chat.session_id, order_by=order)
        ranked = select(Chat.id, rank.label("rank")).where(Chat.session_id.in_(session_ids)).subquery()
        query = (
            select(Chat)
            .join(ranked, and_(ranked.c.id == Chat.id, ranked.c.rank <= LISTED_CHATS))
            .join(Chat.session)
            .options(contains_eager(Chat.session))
            .order_by(*order)
        )
        return self.session.scalars(query).all()

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

    def newest(
        self, chat_id: UUID, *, owner_id: str, page: Page, through: int | None = None
    ) -> Sequence[Message]:
        """What was said, newest first; one more than the page holds. Raises `NotFound` for the chat.

        `through` is the position of the last message that counts.
        """
        said = and_(Message.chat_id == Chat.id, Message.status.in_(VISIBLE))
        if through is not None:
            said = and_(said, Message.position <= through)
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

    def is_known(self, message_id: UUID, *, owner_id: str) -> bool:
        query = (
            select(Message.id)
            .join(Chat, Chat.id == Message.chat_id)
            .join(ChatSession, ChatSession.id == Chat.session_id)
            .where(Message.id == message_id, ChatSession.user_id == owner_id)
        )
        return self.session.execute(query).first() is not None

    def add(self, message: Message) -> Message:
        self.session.add(message)
        self.session.flush()
        return message

    def sent_as(self, chat_id: UUID, client_message_id: str) -> tuple[Message, Message] | None:
        """The question that a client sent under an id of its own, and its reply."""
        return self._question(chat_id, Message.client_message_id == client_message_id)

    def unanswered(self, chat_id: UUID, words: str) -> tuple[Message, Message] | None:
        """The chat's last question and its reply, if it said just this and got no answer."""
        latest = select(func.max(Message.position)).where(
            Message.chat_id == chat_id, Message.sender_type == "user"
        )
        return self._question(
            chat_id,
            Message.position == latest.scalar_subquery(),
            Message.message_content == words,
            only_failed=True,
        )

    def _question(
        self, chat_id: UUID, *is_it: ColumnElement[bool], only_failed: bool = False
    ) -> tuple[Message, Message] | None:
        reply = aliased(Message)
        query = (
            select(Message, reply)
            .join(reply, reply.reply_to == Message.id)
            .where(Message.chat_id == chat_id, *is_it)
            .with_for_update(of=reply)
        )
        if only_failed:
            gave_up = and_(reply.status.in_(UNFINISHED), reply.leased_until < func.now())
            query = query.where(or_(reply.status == "failed", gave_up))
        row = self.session.execute(query).one_or_none()
        return (row[0], row[1]) if row else None


def position_key(message: Message) -> tuple[int]:
    """The sort key of a message, as a cursor carries it."""
    return (message.position,)
