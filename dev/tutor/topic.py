"""What a request is about: the tutor knows nothing but what it is told."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
_AREA = ("skill_area", "course")
_FOCUS = ("lesson_title", "module")
_HOURS = 12.0


@dataclass(frozen=True, slots=True)
class Topic:
    area: str
    focus: str | None
    question: str | None
    """What the person said last, if the chat has begun."""
    hours: float
    russian: bool


def topic_of(messages: Sequence[Any]) -> Topic:
    """Reads the first message in the user role as facts (a JSON object), and the last as the question."""
    said = [str(message.get("content") or "") for message in messages if message.get("role") == "user"]
    facts = _facts(said[0]) if said else None
    turns = said if facts is None else said[1:]
    question = turns[-1].strip() if turns else None
    area = _first_text(facts, _AREA)
    return Topic(
        area=_shortened(area or question or "?"),
        focus=_first_text(facts, _FOCUS),
        question=question,
        hours=_hours(facts),
        russian=_is_russian(question, " ".join(_texts(facts))),
    )


def _facts(content: str) -> dict[str, Any] | None:
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _is_russian(*texts: str | None) -> bool:
    """By the first text that has words: whoever writes Russian may well name things in Latin letters."""
    spoken = next((text for text in texts if text and _LETTER.search(text)), "")
    return bool(_CYRILLIC.search(spoken))


def _first_text(facts: dict[str, Any] | None, names: Sequence[str]) -> str | None:
    found = ((facts or {}).get(name) for name in names)
    return next((value.strip() for value in found if isinstance(value, str) and value.strip()), None)


def _texts(facts: dict[str, Any] | None) -> Iterator[str]:
    return (value for value in (facts or {}).values() if isinstance(value, str))


def _hours(facts: dict[str, Any] | None) -> float:
    hours = (facts or {}).get("duration_hours")
    return float(hours) if isinstance(hours, int | float) and hours > 0 else _HOURS


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79].rstrip()}…"
