"""What each server and model will not accept, learnt from its refusals and remembered."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from academy.llm.shapes import Message, Model

JsonSchema = dict[str, Any]

_OPENAI = "https://api.openai.com/"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to phrase a request. Every concession gives something up, so learning comes to an end."""

    length: str | None = "max_tokens"
    temperature: bool = True
    streaming: bool = True
    usage: bool = True
    form: str | None = "json_schema"

    def parameters(self, model: Model, schema: JsonSchema | None) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        if self.length:
            chosen[self.length] = model.max_tokens
        if self.temperature and model.temperature is not None:
            chosen["temperature"] = model.temperature
        if self.streaming:
            chosen["stream"] = True
        if self.streaming and self.usage:
            chosen["stream_options"] = {"include_usage": True}
        if self.form and schema is not None:
            chosen["response_format"] = _response_format(self.form, schema)
        return chosen

    def messages(self, messages: list[Message], schema: JsonSchema | None) -> list[Message]:
        """The messages, with the schema in the instructions where the server takes none beside them."""
        if schema is None or self.form == "json_schema":
            return messages
        rule = (
            "Answer with one JSON object and nothing else. It must fit this JSON Schema:\n"
            f"{json.dumps(schema, ensure_ascii=False)}"
        )
        # Some chat templates take a single system message, and only as the first.
        if messages and messages[0]["role"] == "system":
            first = Message(role="system", content=f"{messages[0]['content']}\n\n{rule}")
            return [first, *messages[1:]]
        return [Message(role="system", content=rule), *messages]

    def conceding(self, refusal: str, sent: dict[str, Any]) -> "Dialect | None":
        """The dialect to try after a refusal in these words, if it names something we could leave out."""
        for parameter, words, change in _CONCESSIONS:
            if parameter in sent and re.search(rf"\b({words})\b", refusal, re.IGNORECASE):
                return change(self)
        return None


_CONCESSIONS: tuple[tuple[str, str, Callable[[Dialect], Dialect]], ...] = (
    ("max_tokens", "max_tokens", lambda known: replace(known, length="max_completion_tokens")),
    ("max_completion_tokens", "max_completion_tokens", lambda known: replace(known, length=None)),
    ("temperature", "temperature", lambda known: replace(known, temperature=False)),
    ("stream_options", "stream_options|include_usage", lambda known: replace(known, usage=False)),
    (
        "response_format",
        "response.format|json.schema|json.object|structured outputs?|guided.json|grammar",
        lambda known: replace(known, form="json_object" if known.form == "json_schema" else None),
    ),
    # OpenAI streams some models to verified organisations only.
    ("stream", "stream", lambda known: replace(known, streaming=False)),
)


def _response_format(form: str, schema: JsonSchema) -> dict[str, Any]:
    if form == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


class Memory:
    """The dialect that worked last, for as long as this environment lives."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect


def memory_of(model: Model) -> Memory:
    return _memory(model.base_url, model.name)


@lru_cache(maxsize=256)
def _memory(base_url: str, name: str) -> Memory:  # noqa: ARG001 - the name is part of the cache's key
    # OpenAI's newer models refuse the old name, its older ones take both; elsewhere the old one is usual.
    return Memory(Dialect(length="max_completion_tokens" if base_url.startswith(_OPENAI) else "max_tokens"))
