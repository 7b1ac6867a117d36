"""The bodies of `/api/chat`."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from academy.http import Input, Output
from academy.http.shapes import SessionKey

Name = Annotated[str, Field(max_length=255)]
ChatType = Literal["track_manager", "lecture_agent"]
Status = Literal["active", "paused", "completed", "archived"]


class SessionIn(Input):
    track_id: UUID | None = None
    session_name: Name = ""


class SessionOut(Output):
    id: str = Field(validation_alias="key")
    track_id: UUID | None
    session_name: str
    status: Status
    created_at: datetime
    updated_at: datetime


class ChatIn(Input):
    session_id: SessionKey
    chat_name: Name = ""
    chat_type: ChatType = "track_manager"


class ChatOut(Output):
    id: UUID
    session_id: str = Field(validation_alias="session_key")
    chat_name: str
    chat_type: ChatType
    status: Status
    created_at: datetime
    updated_at: datetime


class StatusIn(Input):
    status: Status


class MessageOut(Output):
    id: UUID
    chat_id: UUID
    sender_type: Literal["user", "ai"]
    message_content: str
    message_type: str
    ai_model_used: str | None
    tokens_used: int | None
    timestamp: datetime


class Changed(Output):
    success: Literal[True] = True
    message: str
