"""The bodies of `/api/chat`."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from academy.shapes import ChatType, Input, Output, SessionKey, Status

Name = Annotated[str, Field(max_length=255)]


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
