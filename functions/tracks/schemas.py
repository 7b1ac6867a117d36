"""The bodies of `/api/tracks`."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints

from academy.http import Input, Output

MAX_TEXT = 16_000


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


Title = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
SkillArea = Annotated[str, Field(max_length=255)]
Difficulty = Annotated[Literal["beginner", "intermediate", "advanced"], BeforeValidator(_lower)]
Hours = Annotated[StrictInt, Field(ge=1, le=10_000)]
TrackStatus = Literal["planning", "active", "completed", "paused"]
ModuleStatus = Literal["not_started", "in_progress", "completed"]


# May be left out, but not null; what it would be then is nobody's business.
Unset: Any = Field(default=None, json_schema_extra=_without_default)


class TrackIn(Input):
    title: Title
    description: Text | None = None
    skill_area: SkillArea | None = None
    difficulty_level: Difficulty | None = None
    estimated_duration_hours: Hours | None = None
    user_expectations: Text | None = None


class TrackPatch(Input):
    """Only the fields sent change; `null` clears one that may be empty."""

    title: Title = Unset
    description: Text | None = None
    skill_area: SkillArea | None = None
    difficulty_level: Difficulty | None = None
    estimated_duration_hours: Hours | None = None
    user_expectations: Text | None = None
    status: TrackStatus = Unset


class ModuleOut(Output):
    id: UUID
    module_number: int
    title: str
    description: str
    learning_objectives: list[str]
    estimated_duration_hours: int | None
    status: ModuleStatus
    ai_generated_content: str | None
    created_at: datetime
    updated_at: datetime


class TrackOut(Output):
    id: UUID
    title: str
    description: str | None
    skill_area: str | None
    difficulty_level: Difficulty | None
    estimated_duration_hours: int | None
    user_expectations: str | None
    status: TrackStatus
    progress: int = Field(ge=0, le=100, description="Percent of the modules completed.")
    ai_generated_plan: dict[str, Any] | None
    modules: list[ModuleOut]
    created_at: datetime
    updated_at: datetime


class Deleted(Output):
    success: Literal[True] = True
    message: str
