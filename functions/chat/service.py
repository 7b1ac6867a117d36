"""Sessions and chats: where conversations with the tutor are kept."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from academy.errors import Forbidden, NotFound
from academy.models import Chat, ChatSession, Message, User
from academy.paging import Page
from academy.repositories import Chats, ChatSessions, Messages, Tracks


class GuestForbidden(Forbidden):
    code = "guest_forbidden"

    def __init__(self) -> None:
        super().__init__("Guests can't change a session's status. Register to keep your sessions.")


def create_session(session: Session, *, owner_id: str, track_id: UUID | None, name: str) -> ChatSession:
    """Raises `NotFound` for a track that is not the owner's."""
    if track_id is not None:
        Tracks(session).get(track_id, owner_id=owner_id, lock=True)
    row = ChatSession(user_id=owner_id, key=str(uuid4()), track_id=track_id, session_name=name)
    return ChatSessions(session).add(row)


def list_sessions(session: Session, *, owner_id: str, page: Page) -> Sequence[ChatSession]:
    return ChatSessions(session).newest(owner_id=owner_id, page=page)


def set_session_status(session: Session, key: str, *, user: User, status: str) -> None:
    if user.is_guest:
        raise GuestForbidden
    ChatSessions(session).get(key, owner_id=user.id).status = status


def create_chat(session: Session, *, owner_id: str, session_key: str, name: str, chat_type: str) -> Chat:
    chat_session = ChatSessions(session).get(session_key, owner_id=owner_id)
    return Chats(session).add(Chat(session=chat_session, chat_name=name, chat_type=chat_type))


def list_chats(session: Session, key: str, *, owner_id: str, page: Page) -> Sequence[Chat]:
    """A client may ask before it has said anything under a key of its own: such a session is just empty."""
    chats = Chats(session).of_session(key, owner_id=owner_id, page=page)
    if chats is None and _is_uuid(key) and page.after is None:
        raise NotFound("session")
    return chats or []


def list_messages(session: Session, chat_id: UUID, *, owner_id: str, page: Page) -> Sequence[Message]:
    """Newest first."""
    return Messages(session).newest(chat_id, owner_id=owner_id, page=page)


def set_chat_status(session: Session, chat_id: UUID, *, owner_id: str, status: str) -> None:
    Chats(session).get(chat_id, owner_id=owner_id).status = status


def _is_uuid(key: str) -> bool:
    try:
        UUID(key)
    except ValueError:
        return False
    return True
