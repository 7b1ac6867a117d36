"""What tests need to exist before they begin."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from academy import auth
from academy.db import session_scope
from academy.models import Base, Login, User

Row = TypeVar("Row", bound=Base)

PASSWORD = "correct horse battery"


def a_user(**fields: Any) -> User:
    """A registered user; give `password_hash` if it has to log in."""
    email = fields.pop("email", f"{uuid4().hex}@example.com")
    named = {"first_name": "Анна", "last_name": "Петрова", **fields}
    return _add(User(id=str(uuid4()), email=email, email_key=email.casefold(), **named))


def a_guest(**fields: Any) -> User:
    expires_at = datetime.now(UTC) + timedelta(days=7)
    return _add(User(id=f"guest_{uuid4().hex}", is_guest=True, expires_at=expires_at, **fields))


def a_login_of(user: User) -> str:
    """An access token of a new log-in."""
    login = _add(Login(user_id=user.id, expires_at=datetime.now(UTC) + timedelta(days=90)))
    return auth.issue_token(user.id, login.id)


def _add(row: Row) -> Row:
    with session_scope() as session:
        session.add(row)
    return row
