"""Answers with a shape: JSON from a model, checked against a type, asked for once more if it does not fit."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from academy.egress import Deadline
from academy.llm import wire
from academy.llm.errors import BadOutput, ModelError
from academy.llm.reply import Reply
from academy.llm.shapes import Answer, Message, Model, Usage
from academy.llm.text import clean_tree

T = TypeVar("T")

ASKS = 2
_CANDIDATES = 20
_NAMED_PROBLEMS = 10
_QUOTED_CHARACTERS = 8_000
# Strict modes differ in which of these they refuse; the type itself still checks what they say.
_LOOSE_KEYWORDS = frozenset({"minLength", "maxLength", "uniqueItems", "default", "title"})
_MAPS_OF_SCHEMAS = frozenset({"properties", "$defs"})


class Misfit(Exception):
    """What is wrong with an answer, in words that the model can act on."""


def complete_into(
    messages: Sequence[Message],
    into: type[T],
    *,
    model: Model,
    seconds: float = 25,
    pause: wire.Pause = time.sleep,
) -> Answer[T]:
    """The model's answer as an `into`; raises `BadOutput` if the second try does not fit either.

    Both tries share the deadline of `seconds`; the usage is their sum.
    """
    shape = TypeAdapter(into)
    schema = strict_schema(shape.json_schema())
    deadline, spent, asked = Deadline(seconds), Usage(), list(messages)
    for calls in range(1, ASKS + 1):
        reply = Reply(asked)
        try:
            for _ in wire.converse(reply, asked, model=model, deadline=deadline, pause=pause, schema=schema):
                pass
            return Answer(_fit(reply, shape), model.name, spent + reply.usage, calls)
        except ModelError as error:
            error.usage, error.calls = spent + error.usage, calls - 1 + error.calls
            raise
        except Misfit as misfit:
            spent, asked = spent + reply.usage, [*asked, *_correction(reply.text, misfit)]
    failure = BadOutput()
    failure.usage, failure.calls = spent, ASKS
    raise failure


def strict_schema(schema: Any) -> Any:
    """The schema as strict mode wants it: every property required, no others, no loose keywords."""
    if isinstance(schema, list):
        return [strict_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict: dict[str, Any] = _lengths_in_words(schema)
    for keyword, value in schema.items():
        if keyword in _MAPS_OF_SCHEMAS:
            strict[keyword] = {name: strict_schema(item) for name, item in value.items()}
        elif keyword not in _LOOSE_KEYWORDS:
            strict.setdefault(keyword, strict_schema(value))
    if "properties" in strict:
        strict |= {"required": list(strict["properties"]), "additionalProperties": False}
    return strict


def _lengths_in_words(schema: dict[str, Any]) -> dict[str, Any]:
    bounds = (("minLength", "at least"), ("maxLength", "at most"))
    lengths = [f"{words} {schema[keyword]}" for keyword, words in bounds if keyword in schema]
    if not lengths:
        return {}
    note = f"Length: {' and '.join(lengths)} characters."
    return {"description": f"{schema.get('description', '')} {note}".strip()}


def _fit(reply: Reply, shape: TypeAdapter[T]) -> T:
    if reply.finish == "length":
        raise Misfit("It was cut off because it was too long. Write less.")
    reply.check_whole()
    problems: list[str] = []
    for value in _json_objects(reply.text):
        try:
            return shape.validate_python(value)
        except ValidationError as error:
            problems.append(_problems(error))
    raise Misfit(problems[0] if problems else "It holds no valid JSON object.")


def _json_objects(text: str) -> Iterator[Any]:
    """The JSON objects in the text, outermost first: models wrap them in prose and code fences."""
    decoder = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)
    start = text.find("{")
    for _ in range(_CANDIDATES):
        if start < 0:
            return
        try:
            value, end = decoder.raw_decode(text, start)
            found = clean_tree(value)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield found
        start = text.find("{", end)


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "\n".join(
        f"- {'.'.join(map(str, problem['loc'])) or 'the object'}: {problem['msg']}"
        for problem in problems[:_NAMED_PROBLEMS]
    )


def _correction(answer: str, misfit: Misfit) -> list[Message]:
    request = f"This answer cannot be used:\n{misfit}\nAnswer again with the corrected JSON object alone."
    return [
        Message(role="assistant", content=answer[:_QUOTED_CHARACTERS] or "{}"),
        Message(role="user", content=request),
    ]
