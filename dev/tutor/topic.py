"""What a request is about: the tutor knows nothing but what it is told."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
_AREA = ("skill_area", "track_title", "course_title")
_FOCUS = ("lesson_title", "module_title")
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
    """Reads the data (JSON objects) and the words (all else) of the messages in the user role."""
    contents = [str(message.get("content") or "") for message in messages if message.get("role") == "user"]
    data = [value for value in map(_parsed, contents) if isinstance(value, dict)]
    said = [content for content in contents if not isinstance(_parsed(content), dict)]
    question = said[-1].strip() if said else _first_text(data, ("message", "question"))
    area = _first_text(data, _AREA) or _title_in(data, "track") or _first_text(data, ("title",))
    return Topic(
        area=_shortened(area or question or "this subject"),
        focus=_first_text(data, _FOCUS) or _title_in(data, "module"),
        question=question,
        hours=_hours(data),
        russian=_is_russian(question, json.dumps(data, ensure_ascii=False)),
    )


def _parsed(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _is_russian(*texts: str | None) -> bool:
    """By the first text that has words: whoever writes Russian may well name things in Latin letters."""
    spoken = next((text for text in texts if text and _LETTER.search(text)), "")
    return bool(_CYRILLIC.search(spoken))


def _first_text(data: Any, names: Sequence[str]) -> str | None:
    found = (value for name in names for value in _values(data, name))
    return next((value.strip() for value in found if isinstance(value, str) and value.strip()), None)


def _title_in(data: Any, name: str) -> str | None:
    return _first_text(list(_values(data, name)), ("title",))


def _hours(data: Any) -> float:
    hours = next(_values(data, "duration_hours"), None)
    return float(hours) if isinstance(hours, int | float) and hours > 0 else _HOURS


def _values(data: Any, name: str) -> Iterator[Any]:
    """Everything of that name, at any depth."""
    if isinstance(data, dict):
        if name in data:
            yield data[name]
        for value in data.values():
            yield from _values(value, name)
    elif isinstance(data, list):
        for value in data:
            yield from _values(value, name)


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79].rstrip()}…"
