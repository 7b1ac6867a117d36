"""The bodies of `/api/tracks`, and of `/api` itself."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from academy.shapes import Difficulty, Hours, Input, ModuleOut, Output, SkillArea, Text, Title


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


TrackStatus = Literal["planning", "active", "completed", "paused"]


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


class HealthOut(Output):
    status: Literal["ok"] = "ok"
