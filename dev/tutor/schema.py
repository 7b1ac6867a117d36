"""A valid value for any JSON Schema of the kind that pydantic writes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
Path = tuple[str, ...]
"""Names of properties and, within arrays, positions: `("modules", "0", "title")`."""

_USUAL_ITEMS = 4


@dataclass(frozen=True, slots=True)
class Author:
    """Fills a schema in: `text` by path, `number` by path and the size of the array around it."""

    text: Callable[[Path], str]
    number: Callable[[Path, int], float] = lambda _path, _siblings: 1


def instance(schema: Schema, author: Author) -> Any:
    """A value that fits `schema`: the author's words and numbers brought within their bounds."""
    return _Filling(schema, author).value(schema, (), 1)


@dataclass(frozen=True, slots=True)
class _Filling:
    root: Schema
    author: Author

    def value(self, schema: Schema, path: Path, siblings: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        match _type(schema):
            case "object":
                parts: dict[str, Schema] = schema.get("properties", {})
                return {name: self.value(part, (*path, name), siblings) for name, part in parts.items()}
            case "array":
                size = _size(schema)
                return [self.value(_item(schema, i), (*path, str(i)), size) for i in range(size)]
            case "integer":
                return _whole(schema, self.author.number(path, siblings))
            case "number":
                return _real(schema, self.author.number(path, siblings))
            case "boolean":
                return True
            case "null":
                return None
        return _fitted(schema, self.author.text(path))

    def _resolved(self, schema: Schema) -> Schema:
        """Follows references; of several alternatives, takes the first that is not null."""
        if reference := schema.get("$ref"):
            target: Any = self.root
            for step in reference.removeprefix("#/").split("/"):
                target = target[step]
            return self._resolved(target)
        if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            chosen = next((choice for choice in choices if choice.get("type") != "null"), choices[0])
            return self._resolved(chosen)
        return schema


def _type(schema: Schema) -> str:
    named = schema.get("type", "object" if "properties" in schema else "string")
    return str(named if isinstance(named, str) else next(kind for kind in named if kind != "null"))


def _item(schema: Schema, position: int) -> Schema:
    first: list[Schema] = schema.get("prefixItems", [])
    rest: Schema = schema.get("items", {})
    return first[position] if position < len(first) else rest


def _size(schema: Schema) -> int:
    least = max(schema.get("minItems", 0), len(schema.get("prefixItems", [])), _USUAL_ITEMS)
    return int(min(least, schema.get("maxItems", math.inf)))


def _whole(schema: Schema, number: float) -> int:
    least, most = _bounds(schema, margin=1)
    step = schema.get("multipleOf", 1)
    bounded = round(min(max(number, least), most))
    stepped = math.ceil(bounded / step) * step
    return int(stepped if stepped <= most else stepped - step)


def _real(schema: Schema, number: float) -> float:
    least, most = _bounds(schema, margin=0)
    if least < number < most:
        return float(number)
    # On a bound or past it: well inside is right whether the bound itself is allowed or not.
    least = most - 2 if math.isinf(least) else least
    most = least + 2 if math.isinf(most) else most
    return (least + most) / 2


def _bounds(schema: Schema, *, margin: int) -> tuple[float, float]:
    """The least and the most; an exclusive bound counts as one that lies `margin` further inside."""
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + margin)
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - margin)
    return least, most


def _fitted(schema: Schema, text: str) -> str:
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
