"""`/api/chat`: sessions, chats and their messages."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from academy.errors import Invalid
from academy.http import CurrentUser, PaginatorDep, Router, SessionDep, lambda_handler
from academy.models import SESSION_KEY_LENGTH, Chat, ChatSession, Message
from academy.paging import newest_first_key
from academy.repositories.chats import position_key
from academy.shapes import ChatOut, Status
from chat import service
from chat.schemas import Changed, ChatIn, MessageOut, SessionIn, SessionOut, StatusIn

router = Router(prefix="/chat", tag="chat")

SessionKey = Annotated[str, Path(min_length=1, max_length=SESSION_KEY_LENGTH)]


async def get_status(status: Status | None = None, body: StatusIn | None = None) -> str:
    """The new status, from the query or the body: clients of both kinds exist."""
    if given := status or (body and body.status):
        return given
    raise Invalid("Say which status: active, paused, completed or archived.")


StatusDep = Annotated[str, Depends(get_status)]


@router.post("/sessions", status_code=201, response_model=SessionOut)
def create_session(body: SessionIn, user: CurrentUser, session: SessionDep) -> ChatSession:
    return service.create_session(session, owner_id=user.id, track_id=body.track_id, name=body.session_name)


@router.get("/sessions", response_model=list[SessionOut])
def list_sessions(user: CurrentUser, session: SessionDep, paginator: PaginatorDep) -> Sequence[ChatSession]:
    sessions = service.list_sessions(session, owner_id=user.id, page=paginator.page)
    return paginator.cut(sessions, newest_first_key)


@router.put("/sessions/{session_id}/status", response_model=Changed)
def set_session_status(
    session_id: SessionKey, status: StatusDep, user: CurrentUser, session: SessionDep
) -> Changed:
    service.set_session_status(session, session_id, user=user, status=status)
    return Changed(message=f"The session is {status} now.")


@router.post("/chats", status_code=201, response_model=ChatOut)
def create_chat(body: ChatIn, user: CurrentUser, session: SessionDep) -> Chat:
    return service.create_chat(
        session,
        owner_id=user.id,
        session_key=body.session_id,
        name=body.chat_name,
        chat_type=body.chat_type,
    )


@router.get("/sessions/{session_id}/chats", response_model=list[ChatOut])
def list_chats(
    session_id: SessionKey, user: CurrentUser, session: SessionDep, paginator: PaginatorDep
) -> Sequence[Chat]:
    chats = service.list_chats(session, session_id, owner_id=user.id, page=paginator.page)
    return paginator.cut(chats, newest_first_key)


@router.get("/chats/{chat_id}/messages", response_model=list[MessageOut])
def list_messages(
    chat_id: UUID, user: CurrentUser, session: SessionDep, paginator: PaginatorDep
) -> Sequence[Message]:
    newest = service.list_messages(session, chat_id, owner_id=user.id, page=paginator.page)
    return paginator.cut(newest, position_key, rel="prev")[::-1]


@router.put("/chats/{chat_id}/status", response_model=Changed)
def set_chat_status(chat_id: UUID, status: StatusDep, user: CurrentUser, session: SessionDep) -> Changed:
    service.set_chat_status(session, chat_id, owner_id=user.id, status=status)
    return Changed(message=f"The chat is {status} now.")


handler = lambda_handler(router)
