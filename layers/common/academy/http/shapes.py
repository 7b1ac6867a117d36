"""Fields and bodies that more than one API area speaks."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints

from academy.http.schemas import Output
from academy.models import SESSION_KEY_LENGTH

MAX_TEXT = 16_000


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


SessionKey = Annotated[str, StringConstraints(min_length=1, max_length=SESSION_KEY_LENGTH)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
SkillArea = Annotated[str, Field(max_length=255)]
Difficulty = Annotated[Literal["beginner", "intermediate", "advanced"], BeforeValidator(_lower)]
Hours = Annotated[StrictInt, Field(ge=1, le=10_000)]


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
