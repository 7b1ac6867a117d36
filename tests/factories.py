"""What tests need to exist before they begin."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from academy import auth
from academy.models import Base, Chat, ChatSession, Login, Message, Module, Track, User
from tests.roles import looking

Row = TypeVar("Row", bound=Base)

PASSWORD = "correct horse battery"


def a_user(**fields: Any) -> User:
    """A registered user; give `password_hash` if it has to log in."""
    email = fields.pop("email", f"{uuid4().hex}@example.com")
    named = {"first_name": "Анна", "last_name": "Петрова", **fields}
    return _add(User(id=str(uuid4()), email=email, email_key=email.casefold(), **named))


def a_guest(**fields: Any) -> User:
    named = {"expires_at": datetime.now(UTC) + timedelta(days=7), **fields}
    return _add(User(id=f"guest_{uuid4().hex}", is_guest=True, **named))


def a_login_of(user: User) -> str:
    """An access token of a new log-in."""
    login = _add(Login(user_id=user.id, expires_at=datetime.now(UTC) + timedelta(days=90)))
    return auth.issue_token(user.id, login.id)


def a_key_file(path: Path, **keys: str) -> Path:
    """A file of wrapping keys by name, the newest last."""
    path.write_text("".join(f"{name} {digits}\n" for name, digits in keys.items()))
    path.chmod(0o600)
    return path


def _add(row: Row) -> Row:
    with looking() as session:
        session.add(row)
    return row


@dataclass(frozen=True)
class Course:
    """Something of everything a user can own."""

    owner: User
    track: Track
    module: Module
    chat_session: ChatSession
    chat: Chat

    @property
    def ids(self) -> dict[str, str]:
        """Every id by the name that routes call it."""
        return {
            "track_id": str(self.track.id),
            "module_id": str(self.module.id),
            "chat_id": str(self.chat.id),
        }


def a_course(owner: User, *, modules: int = 3, messages: int = 2, key: str | None = None) -> Course:
    """A planned track with modules, a planning chat in a session, and what was said there."""
    track = _add(Track(user_id=owner.id, title="Танго", skill_area="танцы", status="active"))
    made = [_add(Module(track_id=track.id, module_number=n + 1, title=f"Шаг {n}")) for n in range(modules)]
    chat_session = _add(ChatSession(user_id=owner.id, key=key or uuid4().hex, track_id=track.id))
    chat = _add(Chat(session_id=chat_session.id, chat_type="track_manager"))
    for number in range(messages):
        sender = ("user", "ai")[number % 2]
        _add(Message(chat_id=chat.id, sender_type=sender, message_content=f"Слово {number}"))
    return Course(owner, track, made[0], chat_session, chat)
