"""The tables, one class each; the API's nouns are the tables' nouns."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

USER_ID_LENGTH = 64
SESSION_KEY_LENGTH = 128


def one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_name)s_key",
            "ix": "%(table_name)s_%(column_0_name)s_idx",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - the name and its kind are SQLAlchemy's
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
        list[str]: JSONB(),
    }
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - as above


class Timestamps:
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.clock_timestamp(), onupdate=func.clock_timestamp()
    )


def user_fk(**options: Any) -> Mapped[str]:
    return mapped_column(String(USER_ID_LENGTH), ForeignKey("users.id", ondelete="CASCADE"), **options)


class User(Timestamps, Base):
    """Somebody who learns. A guest is one too, until `expires_at`."""

    __tablename__ = "users"
    __table_args__ = (
        one_of("role", "student", "instructor", "admin"),
        Index("users_expires_at_idx", "expires_at", postgresql_where=text("is_guest")),
    )

    id: Mapped[str] = mapped_column(String(USER_ID_LENGTH), primary_key=True)
    email: Mapped[str | None] = mapped_column(String(320))
    email_key: Mapped[str | None] = mapped_column(String(960), unique=True)
    """The e-mail as it is compared: normalised and without case."""
    password_hash: Mapped[str | None] = mapped_column(String(255))
    first_name: Mapped[str] = mapped_column(String(100), default="")
    last_name: Mapped[str] = mapped_column(String(100), default="")
    role: Mapped[str] = mapped_column(String(16), default="student")
    is_active: Mapped[bool] = mapped_column(default=True)
    is_guest: Mapped[bool] = mapped_column(default=False)
    expires_at: Mapped[datetime | None]


class Login(Base):
    """One log-in on one device: the family of its refresh tokens, and the `sid` of its access tokens."""

    __tablename__ = "logins"
    __table_args__ = (Index("logins_user_id_idx", "user_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[str] = user_fk()
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class RefreshToken(Base):
    """A refresh token that was handed out; only its hash is kept."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("refresh_tokens_login_id_idx", "login_id"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    login_id: Mapped[UUID] = mapped_column(ForeignKey("logins.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AIConfiguration(Timestamps, Base):
    """A person's own model server. The key is sealed, and bound to the origin it was saved with."""

    __tablename__ = "ai_configurations"

    user_id: Mapped[str] = user_fk(primary_key=True)
    model_name: Mapped[str | None] = mapped_column(String(200))
    base_url: Mapped[str | None] = mapped_column(String(2000))
    max_tokens: Mapped[int | None]
    temperature: Mapped[float | None] = mapped_column(Float)
    sealed_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    key_origin: Mapped[str | None] = mapped_column(String(300))


class Track(Timestamps, Base):
    """A course somebody is taking."""

    __tablename__ = "learning_tracks"
    __table_args__ = (
        one_of("status", "planning", "active", "completed", "paused"),
        one_of("difficulty_level", "beginner", "intermediate", "advanced"),
        Index("learning_tracks_user_id_idx", "user_id", text("created_at DESC"), text("id DESC")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[str] = user_fk()
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    skill_area: Mapped[str | None] = mapped_column(String(255))
    difficulty_level: Mapped[str | None] = mapped_column(String(16))
    estimated_duration_hours: Mapped[int | None]
    user_expectations: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default="planning")
    ai_generated_plan: Mapped[dict[str, Any] | None]
    planned_through: Mapped[int | None] = mapped_column(BigInteger)
    """Position of the last message that the modules were made from."""

    modules: Mapped[list[Module]] = relationship(
        order_by="Module.module_number", lazy="raise", passive_deletes=True
    )

    @property
    def progress(self) -> int:
        """Percent of the modules completed, 0-100."""
        done = sum(module.status == "completed" for module in self.modules)
        return done * 100 // len(self.modules) if self.modules else 0


class Module(Timestamps, Base):
    """A step of a track. `ai_generated_content` is its summary, once the tutor has written it."""

    __tablename__ = "course_modules"
    __table_args__ = (
        one_of("status", "not_started", "in_progress", "completed"),
        UniqueConstraint("track_id", "module_number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    track_id: Mapped[UUID] = mapped_column(ForeignKey("learning_tracks.id", ondelete="CASCADE"))
    module_number: Mapped[int] = mapped_column(Integer)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(Text, default="")
    learning_objectives: Mapped[list[str]] = mapped_column(default=list)
    estimated_duration_hours: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16), default="not_started")
    ai_generated_content: Mapped[str | None] = mapped_column(Text)


class Lesson(Base):
    """A text the tutor wrote for a module."""

    __tablename__ = "lessons"
    __table_args__ = (
        one_of("content_type", "theory", "practice", "homework", "quiz", "lecture"),
        Index("lessons_module_id_idx", "module_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    module_id: Mapped[UUID] = mapped_column(ForeignKey("course_modules.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ChatSession(Timestamps, Base):
    """A sitting of one user. Clients know it by `key`, which they may make themselves."""

    __tablename__ = "chat_sessions"
    __table_args__ = (
        one_of("status", "active", "paused", "completed", "archived"),
        UniqueConstraint("user_id", "key"),
        Index("chat_sessions_newest_idx", "user_id", text("created_at DESC"), text("id DESC")),
        Index("chat_sessions_track_id_idx", "track_id"),
        Index("chat_sessions_current_chat_id_idx", "current_chat_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[str] = user_fk()
    key: Mapped[str] = mapped_column(String(SESSION_KEY_LENGTH))
    track_id: Mapped[UUID | None] = mapped_column(ForeignKey("learning_tracks.id", ondelete="CASCADE"))
    current_chat_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("chats.id", ondelete="SET NULL", use_alter=True)
    )
    """The chat that its owner switched to, where words go that name none."""
    session_name: Mapped[str] = mapped_column(String(255), default="")
    status: Mapped[str] = mapped_column(String(16), default="active")


class Chat(Timestamps, Base):
    """A conversation with the tutor: about the plan (`track_manager`) or in a module (`lecture_agent`)."""

    __tablename__ = "chats"
    __table_args__ = (
        one_of("chat_type", "track_manager", "lecture_agent"),
        one_of("status", "active", "paused", "completed", "archived"),
        Index("chats_session_id_idx", "session_id", text("created_at DESC"), text("id DESC")),
        Index("chats_module_id_idx", "module_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("chat_sessions.id", ondelete="CASCADE"))
    module_id: Mapped[UUID | None] = mapped_column(ForeignKey("course_modules.id", ondelete="CASCADE"))
    chat_name: Mapped[str] = mapped_column(String(255), default="")
    chat_type: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="active")

    lane: Mapped[int] = mapped_column(default=0, server_default="0")
    """Its replies are queued one after the other in a lane; a new one leaves an obstacle behind."""

    session: Mapped[ChatSession] = relationship(foreign_keys=[session_id], lazy="raise")

    @property
    def session_key(self) -> str:
        return self.session.key


class Message(Base):
    """Something said in a chat. A reply (`sender_type` ai) answers the message it names."""

    __tablename__ = "chat_messages"
    __table_args__ = (
        one_of("sender_type", "user", "ai"),
        one_of("status", "complete", "pending", "streaming", "failed", "cancelled"),
        UniqueConstraint("chat_id", "client_message_id"),
        Index("chat_messages_position_idx", "chat_id", "position"),
        Index("chat_messages_reply_to_idx", "reply_to", unique=True),
        Index(
            "chat_messages_unfinished_idx",
            "chat_id",
            "position",
            postgresql_where=text("status IN ('pending', 'streaming')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    chat_id: Mapped[UUID] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    sender_type: Mapped[str] = mapped_column(String(8))
    message_content: Mapped[str] = mapped_column(Text, default="")
    message_type: Mapped[str] = mapped_column(String(32), default="text")
    status: Mapped[str] = mapped_column(String(16), default="complete")
    reply_to: Mapped[UUID | None] = mapped_column(ForeignKey("chat_messages.id", ondelete="CASCADE"))
    client_message_id: Mapped[str | None] = mapped_column(String(128))
    ai_model_used: Mapped[str | None] = mapped_column(String(200))
    tokens_used: Mapped[int | None]
    timestamp: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    # What follows is about a reply while it is made.
    claims: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often somebody began to write it; the latest alone may go on."""
    leased_until: Mapped[datetime | None]
    """Until when whoever claimed it is taken to be alive."""
    next_seq: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many pieces of the text so far were shown."""
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    announced: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether its end was shown to those who are connected."""


class AIUsage(Base):
    """A question put to a model: what it was for, what it cost, how it ended."""

    __tablename__ = "ai_usage"
    __table_args__ = (Index("ai_usage_user_id_idx", "user_id", "created_at"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[str] = user_fk()
    purpose: Mapped[str] = mapped_column(String(32))
    model: Mapped[str] = mapped_column(String(200))
    own_key: Mapped[bool]
    calls: Mapped[int]
    """Requests it took: a second one asked for what the first answer lacked."""
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    duration_ms: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(32))
    """`ok`, or the code of the error the caller got."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class UserBudget(Base):
    """What the platform's key paid for one person on a day (UTC), and what is taken for answers under way."""

    __tablename__ = "user_budgets"
    __table_args__ = (
        CheckConstraint("reserved >= 0", name="reserved"),
        Index("user_budgets_day_idx", "day"),
    )

    user_id: Mapped[str] = user_fk(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    reserved: Mapped[int] = mapped_column(BigInteger)
    """Tokens, like `spent`."""
    spent: Mapped[int] = mapped_column(BigInteger)


class PlatformBudget(Base):
    """The same for everybody together. Every question locks its day's row, for as long as a commit takes."""

    __tablename__ = "platform_budgets"
    __table_args__ = (CheckConstraint("reserved >= 0", name="reserved"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    reserved: Mapped[int] = mapped_column(BigInteger)
    spent: Mapped[int] = mapped_column(BigInteger)


class TokenReservation(Base):
    """Tokens taken out of both budgets for one question, until its answer is settled or its asker is dead."""

    __tablename__ = "token_reservations"
    __table_args__ = (Index("token_reservations_leased_until_idx", "leased_until"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    spender: Mapped[str] = mapped_column(String(USER_ID_LENGTH))
    """A user's id, no foreign key: who leaves in mid-answer must not take along what is to be given back."""
    day: Mapped[date]
    tokens: Mapped[int] = mapped_column(BigInteger)
    reply_id: Mapped[UUID | None]
    """The reply it is for, whose own lease then counts too; no foreign key, for the same reason."""
    leased_until: Mapped[datetime]


class IdempotencyKey(Base):
    """A POST that was asked to happen once: its answer, sealed, or the lease of who is at it."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_created_at_idx", "created_at"),)

    scope: Mapped[str] = mapped_column(String(128), primary_key=True)
    """Whose key it is: a user's id, or an anonymous caller's address."""
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    sealed_answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Throttle(Base):
    """How often something was tried in the current window; `key` is a keyed hash, so no address is kept."""

    __tablename__ = "throttles"

    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    window_ends_at: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int]
