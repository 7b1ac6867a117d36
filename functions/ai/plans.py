"""What a model must answer when it plans a course; bounds that its answer is checked against."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

MIN_MODULES, MAX_MODULES = 3, 7

Title = Annotated[str, Field(min_length=1, max_length=255)]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]
Line = Annotated[str, Field(min_length=1, max_length=500)]
Lines = Annotated[list[Line], Field(min_length=1, max_length=12)]
Hours = Annotated[int, Field(ge=1, le=1_000)]


class PlannedModule(BaseModel):
    title: Title
    description: Text
    duration_hours: Hours
    topics: Lines


class CoursePlan(BaseModel):
    title: Title
    description: Text
    goals: Lines
    modules: Annotated[list[PlannedModule], Field(min_length=MIN_MODULES, max_length=MAX_MODULES)]
    practice: Lines
    final_project: Text


class CourseModule(BaseModel):
    title: Title
    description: Text
    learning_objectives: Lines
    duration_hours: Hours


class CourseModules(BaseModel):
    """The modules of a course, or those that still follow the ones a person has begun."""

    modules: list[CourseModule]


def modules_to_follow(begun: int) -> type[CourseModules]:
    """The shape of an answer that, with the modules begun already, makes 3 to 7."""
    bounds = Field(min_length=max(1, MIN_MODULES - begun), max_length=MAX_MODULES - begun)
    fields: dict[str, Any] = {"modules": (Annotated[list[CourseModule], bounds], ...)}
    return create_model("CourseModules", __base__=CourseModules, **fields)


def as_markdown(plan: CoursePlan) -> str:
    """The plan as the tutor says it. No headings of ours: the plan may be in any language."""
    goals = "\n".join(f"- {goal}" for goal in plan.goals)
    modules = "\n\n".join(_module(number, module) for number, module in enumerate(plan.modules, 1))
    practice = "\n".join(f"- {exercise}" for exercise in plan.practice)
    parts = (f"## {plan.title}", plan.description, goals, modules, practice, f"**{plan.final_project}**")
    return "\n\n".join(parts)


def _module(number: int, module: PlannedModule) -> str:
    topics = "\n".join(f"   - {topic}" for topic in module.topics)
    return f"{number}. **{module.title}**\n   {module.description}\n{topics}"
