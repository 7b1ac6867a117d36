"""The frames of the WebSocket: what clients send, and what they are answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from academy import payload
from academy.errors import Invalid
from academy.payload import MalformedBody
from academy.shapes import MAX_WORDS, ChatOut, HistoryMessage
from academy.websocket import Frame
from academy.websocket.frames import now

ClientId = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class BadFrame(Invalid):
    code = "malformed_frame"


class UnknownType(Invalid):
    code = "unknown_type"

    def __init__(self) -> None:
        known = ", ".join(sorted(TYPES))
        super().__init__(f"There is no such type of frame: it is one of {known}, or has a message.")


class UnknownCommand(Invalid):
    code = "unknown_command"

    def __init__(self) -> None:
        super().__init__(f"There is no such command: it is one of {', '.join(sorted(COMMANDS))}.")


class EmptyMessage(Invalid):
    code = "empty_message"

    def __init__(self) -> None:
        super().__init__("The message is empty.")


class InvalidFrame(Invalid):
    code = "invalid_frame"


class RestoreChat(BaseModel):
    """Show the chat that words go to now."""


class Words(BaseModel):
    """Something said to the tutor."""

    message: Annotated[str, StringConstraints(max_length=MAX_WORDS)]
    type: Literal["text"] | None = None
    chat_id: UUID | None = None
    client_message_id: ClientId | None = None


class Cancel(BaseModel):
    """Stop the reply that is, or answers, `message_id`; without one, those of the current chat."""

    message_id: UUID | None = None


class Ping(BaseModel):
    """Keep the connection alive: browsers cannot send pings of the protocol."""


class SwitchChat(BaseModel):
    chat_id: UUID


class GetUserChats(BaseModel):
    """List what there is to switch to."""


class RestoreHistory(BaseModel):
    chat_id: UUID


ClientFrame = RestoreChat | Words | Cancel | Ping | SwitchChat | GetUserChats | RestoreHistory

TYPES: dict[str, type[ClientFrame]] = {"restore_chat": RestoreChat, "cancel": Cancel, "ping": Ping}
COMMANDS: dict[str, type[ClientFrame]] = {
    "switch_chat": SwitchChat,
    "get_user_chats": GetUserChats,
    "restore_history": RestoreHistory,
}


def read(body: str) -> ClientFrame:
    """The frame in a text. Raises what says why there is none; fields that nobody knows are ignored."""
    try:
        frame = payload.parse(body.encode("utf-8", "surrogatepass"))
    except MalformedBody as error:
        raise BadFrame(error.detail) from None
    if not isinstance(frame, dict):
        raise BadFrame("A frame is a JSON object.")
    try:
        return _kind(frame).model_validate(frame)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidFrame(f"Check {where}: {first['msg']}.") from None


def _kind(frame: dict[str, Any]) -> type[ClientFrame]:
    if "command" in frame:
        if kind := COMMANDS.get(str(frame["command"])):
            return kind
        raise UnknownCommand
    if kind := TYPES.get(str(frame.get("type"))):
        return kind
    if frame.get("type") not in (None, "text") or not frame.keys() & {"type", "message"}:
        raise UnknownType
    message = frame.get("message")
    if message is None or (isinstance(message, str) and not message.strip()):
        raise EmptyMessage
    return Words


class Pong(Frame):
    type: Literal["pong"] = "pong"
    timestamp: datetime = Field(default_factory=now)


class MessageAccepted(Frame):
    """The person's words are stored, as `message_id`."""

    type: Literal["message_accepted"] = "message_accepted"
    chat_id: UUID
    message_id: UUID
    client_message_id: str | None


class ReplyInProgress(BaseModel):
    """A reply that is still being made: its text as far as the deltas before `next_seq` go."""

    message_id: UUID
    content: str
    has_more: bool = Field(description="The text so far is longer; only `ai_response` will have all of it.")
    next_seq: int


class Restored(Frame):
    success: Literal[True] = True
    chat_id: UUID | None
    chat_info: ChatOut | None
    history: list[HistoryMessage]
    message_count: int = Field(description="Of the messages in `history`.")
    has_more: bool = Field(description="Older messages were left out; REST has them.")
    reply_in_progress: ReplyInProgress | None
    timestamp: datetime = Field(default_factory=now)


class ChatRestored(Restored):
    type: Literal["chat_restored"] = "chat_restored"
    has_existing_chat: bool


class ChatSwitched(Restored):
    type: Literal["chat_switched"] = "chat_switched"


class HistoryRestored(Restored):
    type: Literal["history_restored"] = "history_restored"


class UserSession(BaseModel):
    session_id: str
    session_name: str
    track_id: UUID | None
    track_title: str | None
    session_created_at: datetime
    chats: list[ChatOut]


class UserChats(Frame):
    type: Literal["user_chats"] = "user_chats"
    chats: list[UserSession]
    has_more: bool
    timestamp: datetime = Field(default_factory=now)
