"""What the server says over a socket: one JSON object a frame, within API Gateway's 128 KB."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from academy.errors import AppError
from academy.models import Message
from academy.shapes import HistoryMessage

MAX_FRAME_BYTES = 128 * 1024
ROOM_BYTES = 110_000
"""What a frame's long part may take, as JSON: the rest is for its short ones."""


def now() -> datetime:
    return datetime.now(UTC)


class Frame(BaseModel):
    """A server frame; which session it is sent on, is said when it is sent."""

    type: str

    def render(self, session_key: str | None) -> str:
        return json.dumps({**self.model_dump(mode="json"), "session_id": session_key}, ensure_ascii=False)


class ErrorFrame(Frame):
    type: Literal["error"] = "error"
    message: str
    code: str
    chat_id: UUID | None = None
    message_id: UUID | None = None
    retry_after: int | None = Field(default=None, description="Seconds.")
    timestamp: datetime = Field(default_factory=now)

    @classmethod
    def of(cls, error: AppError, chat_id: UUID | None = None, message_id: UUID | None = None) -> ErrorFrame:
        wait = error.headers.get("Retry-After")
        return cls(
            message=error.detail,
            code=error.code,
            chat_id=chat_id,
            message_id=message_id,
            retry_after=int(wait) if wait else None,
        )


class AiDelta(Frame):
    """Words of a reply under way. `seq` counts from 0; another 0 begins the reply anew."""

    type: Literal["ai_delta"] = "ai_delta"
    chat_id: UUID
    message_id: UUID
    seq: int
    delta: str


class AiResponse(Frame):
    """The end of a reply. `has_more`: the text goes on beyond what a frame holds; REST has all of it."""

    type: Literal["ai_response"] = "ai_response"
    message: str
    has_more: bool
    chat_id: UUID
    message_id: UUID
    tokens_used: int | None
    model_used: str | None
    status: str = Field(description="`complete` or `cancelled`.")
    timestamp: datetime

    @classmethod
    def of(cls, reply: Message) -> AiResponse:
        text = fitting(reply.message_content)
        return cls(
            message=text,
            has_more=len(text) < len(reply.message_content),
            chat_id=reply.chat_id,
            message_id=reply.id,
            tokens_used=reply.tokens_used,
            model_used=reply.ai_model_used,
            status=reply.status,
            timestamp=reply.timestamp,
        )


class FinalizationComplete(Frame):
    type: Literal["finalization_complete"] = "finalization_complete"
    message: str
    chat_id: UUID
    modules_created: int
    track_id: UUID
    timestamp: datetime = Field(default_factory=now)


def fitting(text: str, room: int = ROOM_BYTES) -> str:
    """As much of the text, from its beginning, as takes `room` bytes of JSON."""
    if _size(text) <= room:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if _size(text[:middle]) <= room else (fits, middle)
    return text[:fits]


def newest_fitting(
    newest_first: Sequence[HistoryMessage], room: int = ROOM_BYTES
) -> tuple[list[HistoryMessage], bool]:
    """The newest messages that fit into a frame, oldest first, and whether there are more.

    The very newest is always there, cut if nothing else helps.
    """
    whole, kept = room, list[HistoryMessage]()
    for message in newest_first:
        room -= len(message.model_dump_json().encode()) + 1
        if room < 0:
            break
        kept.append(message)
    if newest_first and not kept:
        newest = newest_first[0]
        return [newest.model_copy(update={"content": fitting(newest.content, whole - 1_000)})], True
    return kept[::-1], len(kept) < len(newest_first)


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())
