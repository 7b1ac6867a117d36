"""What every body has in common, and fields and bodies that more than one API area speaks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    model_validator,
)

from academy.models import SESSION_KEY_LENGTH

MAX_TEXT = 16_000
MAX_WORDS = 16_000
"""Characters of what a person says at once, whichever way it comes."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


SessionKey = Annotated[str, StringConstraints(min_length=1, max_length=SESSION_KEY_LENGTH)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
SkillArea = Annotated[str, Field(max_length=255)]
Difficulty = Annotated[Literal["beginner", "intermediate", "advanced"], BeforeValidator(_lower)]
ChatType = Literal["track_manager", "lecture_agent"]
Status = Literal["active", "paused", "completed", "archived"]
Hours = Annotated[StrictInt, Field(ge=1, le=10_000)]


class Input(BaseModel):
    """A request body. Unknown fields are refused, but for `user_id`: the token alone says who calls."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _ignore_user_id(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "user_id" not in cls.model_fields:
            return {name: value for name, value in data.items() if name != "user_id"}
        return data


class Output(BaseModel):
    """A response body, read from an object's attributes: only the fields named here ever leave."""

    model_config = ConfigDict(from_attributes=True)


class ModuleOut(Output):
    id: UUID
    module_number: int
    title: str
    description: str
    learning_objectives: list[str]
    estimated_duration_hours: int | None
    status: Literal["not_started", "in_progress", "completed"]
    ai_generated_content: str | None = Field(description="The tutor's summary, in Markdown.")
    created_at: datetime
    updated_at: datetime


class ChatOut(Output):
    id: UUID
    session_id: str = Field(validation_alias="session_key")
    chat_name: str
    chat_type: ChatType
    status: Status
    created_at: datetime
    updated_at: datetime


class HistoryMessage(Output):
    id: UUID
    chat_id: UUID
    sender: Literal["user", "ai"] = Field(validation_alias="sender_type")
    content: str = Field(validation_alias="message_content")
    message_type: str
    timestamp: datetime
    ai_model_used: str | None
    tokens_used: int | None
