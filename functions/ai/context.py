"""What a model gets to know: the course's facts and the chat's last turns, within a budget of tokens."""

from collections.abc import Sequence
from typing import Any

from academy import llm
from academy.models import Message, Module, Track

TURN_TOKENS = 6_000
LONGEST_FACT = 4_000
TURNS_READ = 50

ROLES: dict[str, Any] = {"user": "user", "ai": "assistant"}


def track_facts(track: Track | None) -> dict[str, Any]:
    if track is None:
        return {}
    facts = {
        "course": track.title,
        "description": track.description,
        "skill_area": track.skill_area,
        "difficulty_level": track.difficulty_level,
        "duration_hours": track.estimated_duration_hours,
        "user_expectations": track.user_expectations,
        "plan": track.ai_generated_plan,
        "modules": [module.title for module in track.modules],
    }
    return {name: shortened(value) for name, value in facts.items() if value}


def module_facts(module: Module) -> dict[str, Any]:
    facts = {
        "module": module.title,
        "module_number": module.module_number,
        "module_description": module.description,
        "learning_objectives": module.learning_objectives,
        "module_summary": module.ai_generated_content,
    }
    return {name: shortened(value) for name, value in facts.items() if value}


def turns(newest_first: Sequence[Message], budget: int = TURN_TOKENS) -> list[llm.Message]:
    """The latest turns that fit, oldest first. The very last one always goes, however long it is."""
    kept: list[llm.Message] = []
    for message in newest_first:
        budget -= llm.estimate_tokens(message.message_content)
        if kept and budget < 0:
            break
        kept.append({"role": ROLES[message.sender_type], "content": message.message_content})
    return kept[::-1]


def shortened(value: Any) -> Any:
    return value[:LONGEST_FACT] if isinstance(value, str) else value
