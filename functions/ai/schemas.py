"""The bodies of `/api/ai`."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt, StringConstraints, WithJsonSchema

from academy.shapes import (
    MAX_WORDS,
    Difficulty,
    HistoryMessage,
    Hours,
    Input,
    ModuleOut,
    Output,
    SessionKey,
    SkillArea,
    Text,
    Title,
)
from ai.configuration import MAX_TEMPERATURE, MAX_TOKENS
from ai.plans import CoursePlan

MAX_NUMBER_DIGITS = 9
MODULE_REF = r"^([0-9]{1,9}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"


def _module(value: Any) -> UUID | int:
    if not isinstance(value, str) or not re.fullmatch(MODULE_REF, value):
        raise ValueError("it is neither a module's id nor its number as a string")
    return int(value) if len(value) <= MAX_NUMBER_DIGITS else UUID(value)


Words = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WORDS)]
ContentType = Literal["theory", "practice", "homework", "quiz", "lecture"]
Facts = Text | dict[str, Any]
ModuleRef = Annotated[
    UUID | int,
    BeforeValidator(_module),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": MODULE_REF,
            "description": "The module's id, or its number in the track as a string.",
        }
    ),
]


class Success(Output):
    success: Literal[True] = True


class PlanIn(Input):
    track_id: UUID
    user_expectations: Text
    session_id: SessionKey | None = None
    chat_id: UUID | None = None


class PlanOut(Success):
    plan: CoursePlan
    chat_id: UUID
    tokens_used: int


class WordsIn(Input):
    message: Words
    session_id: SessionKey
    chat_id: UUID | None = None
    track_context: Facts | None = None


class ReplyOut(Success):
    response: str = Field(description="Markdown.")
    chat_id: UUID
    tokens_used: int
    model_used: str


class LessonIn(Input):
    lesson_title: Title
    module_context: Facts
    content_type: ContentType
    module_id: UUID | None = None


class LessonOut(Success):
    content: str = Field(description="Markdown.")
    tokens_used: int


class ConfigIn(Input):
    """Only the fields sent change; `null` brings the platform's default back."""

    model_name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    base_url: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] | None = None
    max_tokens: Annotated[StrictInt, Field(ge=1, le=MAX_TOKENS)] | None = None
    temperature: Annotated[StrictFloat, Field(ge=0, le=MAX_TEMPERATURE)] | None = None
    api_key: Annotated[str, Field(max_length=500, pattern=r"^[\x21-\x7e]*$")] | None = Field(
        default=None, description="Bound to the base_url it is sent with; empty or null removes it."
    )
    has_custom_key: bool | None = Field(default=None, description="Ignored: what the GET said.")


class ConfigOut(Success):
    model_name: str
    base_url: str
    max_tokens: int
    temperature: float
    has_custom_key: bool


class TestIn(Input):
    api_key: Annotated[str, Field(max_length=500, pattern=r"^[\x21-\x7e]*$")] | None = None
    base_url: Annotated[str, Field(max_length=2_000)] | None = None
    model_name: Annotated[str, Field(max_length=200)] | None = None


class TestOut(Output):
    success: bool
    message: str
    model_used: str | None = None
    error: str | None = None
    tokens_used: int = 0


class WelcomeIn(Input):
    session_id: SessionKey
    skill_area: SkillArea
    user_expectations: Text
    difficulty_level: Difficulty
    duration_hours: Hours
    track_id: UUID | None = None


class WelcomeOut(Success):
    message: str = Field(description="Markdown: a greeting and a first plan.")
    chat_id: UUID
    tokens_used: int


class FinalizeIn(Input):
    session_id: SessionKey
    skill_area: SkillArea
    track_id: UUID


class FinalizeOut(Success):
    modules_count: int
    modules: list[ModuleOut]


class ModuleIn(Input):
    track_id: UUID
    module_id: ModuleRef
    session_id: SessionKey


class ModuleStartOut(Success):
    module_summary: str = Field(description="Markdown.")
    chat_id: UUID
    tokens_used: int


class ModuleChatIn(ModuleIn):
    message: Words
    chat_id: UUID | None = None


class ModuleChatOut(Success):
    response: str = Field(description="Markdown.")
    chat_id: UUID
    tokens_used: int


class ModuleCompleteOut(Success):
    message: str
    module_id: UUID
    status: Literal["completed"] = "completed"
    progress: int = Field(ge=0, le=100, description="Percent of the track's modules completed.")


class ModuleHistoryIn(ModuleIn):
    chat_id: UUID | None = None


class ModuleHistoryOut(Success):
    history: list[HistoryMessage]
    chat_id: UUID | None
