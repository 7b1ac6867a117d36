"""Replies while they are made: who writes one, how far it has come, how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select, update
from sqlalchemy.orm import Session, aliased, contains_eager

from academy.models import Chat, ChatSession, Message

LEASE = timedelta(seconds=30)
"""Who writes a reply renews this every second; whoever does not is taken to be dead."""

GRACE = timedelta(seconds=30)
"""How long the queue gets to bring a reply to somebody, or to somebody else; swept every minute, it is not
lost for longer than 90 s."""

UNFINISHED = ("pending", "streaming")

FAILED = {"status": "failed", "leased_until": func.now() + LEASE}
"""The values of a reply that failed and has still to be shown so."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write a reply, until somebody else has to take it over."""

    reply_id: UUID
    owner_id: str
    number: int


class Replies:
    def __init__(self, session: Session) -> None:
        self.session = session

    def find(self, reply_id: UUID) -> Row[Message, Message, Chat] | None:
        """The reply, the question it answers and their chat, with its session."""
        question = aliased(Message)
        query = (
            select(Message, question, Chat)
            .join(question, question.id == Message.reply_to)
            .join(Chat, Chat.id == Message.chat_id)
            .join(Chat.session)
            .options(contains_eager(Chat.session))
            .where(Message.id == reply_id)
            .execution_options(populate_existing=True)
        )
        return self.session.execute(query).one_or_none()

    def claim(self, reply_id: UUID, *, owner_id: str) -> Claim | None:
        """Begin to write a reply, from its first word; `None` if it has ended or somebody is at it."""
        is_free = or_(Message.leased_until.is_(None), Message.leased_until <= func.now())
        statement = (
            update(Message)
            .where(Message.id == reply_id, Message.status.in_(UNFINISHED), is_free)
            .values(
                status="streaming",
                claims=Message.claims + 1,
                leased_until=func.now() + LEASE,
                message_content="",
                next_seq=0,
            )
            .returning(Message.claims)
        )
        number = self.session.execute(statement).scalar_one_or_none()
        return None if number is None else Claim(reply_id, owner_id, number)

    def keep(self, claim: Claim, text: str, next_seq: int) -> bool | None:
        """Store the text so far. Whether to stop was asked for; `None` if the reply is no longer ours."""
        statement = (
            update(Message)
            .where(_is_mine(claim))
            .values(message_content=text, next_seq=next_seq, leased_until=func.now() + LEASE)
            .returning(Message.cancel_requested)
        )
        return self.session.execute(statement).scalar_one_or_none()

    def settle(self, claim: Claim, **values: object) -> Message | None:
        """End a reply; `None` if it is gone, with its chat, or somebody else writes it.

        It stays leased, for whoever ended it to show that.
        """
        statement = (
            update(Message)
            .where(_is_mine(claim))
            .values(timestamp=func.clock_timestamp(), leased_until=func.now() + LEASE, **values)
            .returning(Message)
        )
        return self.session.scalars(statement).one_or_none()

    def fail(self, reply_id: UUID) -> None:
        """End a reply that nobody could write."""
        unfinished = and_(Message.id == reply_id, Message.status.in_(UNFINISHED))
        self.session.execute(update(Message).where(unfinished).values(**FAILED))

    def claim_end(self, reply_id: UUID) -> bool:
        """Whether it is up to us to show how the reply ended, because who ended it died before that."""
        statement = (
            update(Message)
            .where(
                Message.id == reply_id,
                Message.announced.is_(False),
                or_(Message.leased_until.is_(None), Message.leased_until <= func.now()),
            )
            .values(leased_until=func.now() + LEASE)
            .returning(Message.id)
        )
        return self.session.execute(statement).first() is not None

    def mark_announced(self, reply_id: UUID) -> None:
        self.session.execute(update(Message).where(Message.id == reply_id).values(announced=True))

    def cancel(
        self, *, owner_id: str, chat_id: UUID | None = None, message_id: UUID | None = None
    ) -> Sequence[Message]:
        """Ask that the replies of a chat stop, or the one that is, or answers, a message.

        One that nobody has begun is `cancelled` at once; a writer sees to the others within a second.
        """
        is_waiting = Message.leased_until.is_(None)
        which = Message.chat_id == chat_id
        if message_id is not None:
            which = or_(Message.id == message_id, Message.reply_to == message_id)
        statement = (
            update(Message)
            .where(
                which,
                Chat.id == Message.chat_id,
                ChatSession.id == Chat.session_id,
                ChatSession.user_id == owner_id,
                Message.status.in_(UNFINISHED),
            )
            .values(
                cancel_requested=True,
                status=case((is_waiting, "cancelled"), else_=Message.status),
                announced=is_waiting,
                timestamp=case((is_waiting, func.clock_timestamp()), else_=Message.timestamp),
            )
            .returning(Message)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        return self.session.scalars(statement).all()

    def in_progress(self, chat_id: UUID) -> Message | None:
        """The reply of the chat that is being made, or the first that waits for it."""
        query = (
            select(Message)
            .where(Message.chat_id == chat_id, Message.status.in_(UNFINISHED))
            .order_by(Message.position)
            .limit(1)
        )
        return self.session.scalars(query).one_or_none()

    def dropped(self, limit: int) -> list[tuple[UUID, str]]:
        """Replies, and whose they are, that nobody has begun though nothing keeps them waiting."""
        return self._lost(_is_dropped(), limit)

    def abandoned(self, limit: int) -> list[tuple[UUID, str]]:
        """Replies, and whose they are, whose writer is dead and which nobody took over."""
        return self._lost(_is_abandoned(), limit)

    def take_dropped(self, reply_id: UUID) -> bool:
        """Whether a reply got lost on the way. It is found so once: who does not begin it abandons it."""
        return self._mark(reply_id, _is_dropped(), leased_until=func.now())

    def give_up_abandoned(self, reply_id: UUID) -> bool:
        """Fail a reply if nobody can save it; whether that was so."""
        return self._mark(reply_id, _is_abandoned(), **FAILED)

    def _lost(self, which: ColumnElement[bool], limit: int) -> list[tuple[UUID, str]]:
        query = (
            select(Message.id, ChatSession.user_id)
            .join(Chat, Chat.id == Message.chat_id)
            .join(ChatSession, ChatSession.id == Chat.session_id)
            .where(which)
            .limit(limit)
        )
        return [(row[0], row[1]) for row in self.session.execute(query)]

    def _mark(self, reply_id: UUID, which: ColumnElement[bool], **values: object) -> bool:
        # With its chat, and without waiting: who deletes that takes the messages after it.
        query = select(Message.id).join(Chat).where(Message.id == reply_id, which)
        query = query.with_for_update(of=(Chat, Message), key_share=True, skip_locked=True)
        if self.session.scalar(query) is None:
            return False
        self.session.execute(update(Message).where(Message.id == reply_id).values(**values))
        return True


def _is_dropped() -> ColumnElement[bool]:
    earlier = aliased(Message)
    before = select(earlier.id).where(
        earlier.chat_id == Message.chat_id,
        earlier.status.in_(UNFINISHED),
        earlier.position < Message.position,
    )
    return and_(
        Message.status == "pending",
        Message.leased_until.is_(None),
        Message.timestamp < func.now() - GRACE,
        ~before.exists(),
    )


def _is_abandoned() -> ColumnElement[bool]:
    return and_(Message.status.in_(UNFINISHED), Message.leased_until < func.now() - GRACE)


def _is_mine(claim: Claim) -> ColumnElement[bool]:
    return and_(Message.id == claim.reply_id, Message.status == "streaming", Message.claims == claim.number)
