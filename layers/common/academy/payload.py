"""JSON as strictly as Postgres will want it: no NaN, no duplicate keys, no depth bombs, no NUL."""

import json
from typing import Any, NoReturn

from academy.errors import Invalid

MAX_DEPTH = 32
MAX_DIGITS = 32
EXACT = 2**53
"""Below this a float stands for one integer (RFC 8259, section 6)."""


class MalformedBody(Invalid):
    code = "malformed_body"

    def __init__(self, problem: str, loc: tuple[str | int, ...] = ()) -> None:
        error = {"loc": ["body", *loc], "msg": problem, "type": self.code}
        super().__init__(f"This JSON can't be read: {problem}.", extra={"errors": [error]})


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises `MalformedBody`."""
    try:
        value = json.loads(
            body.decode("utf-8-sig"),  # left to itself, json takes UTF-16 and UTF-32 as well
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
            parse_int=_parse_int,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError:
        raise MalformedBody("it is not UTF-8") from None
    except (json.JSONDecodeError, RecursionError):
        raise MalformedBody("it is not JSON") from None
    check(value)
    return value


def check(value: Any, loc: tuple[str | int, ...] = ()) -> None:
    """Refuse what nests too deep or holds text that can't be stored, naming where."""
    if len(loc) > MAX_DEPTH:
        raise MalformedBody(f"it nests deeper than {MAX_DEPTH} levels", loc[:MAX_DEPTH])
    match value:
        case str():
            check_text(value, loc)
        case dict():
            for name, item in value.items():
                check_text(name, loc)
                check(item, (*loc, name))
        case list():
            for index, item in enumerate(value):
                check(item, (*loc, index))


def check_text(text: str, loc: tuple[str | int, ...] = ()) -> None:
    """Postgres stores every Unicode text but NUL, and half a surrogate pair is not Unicode."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text if letter > "\u07ff"):
        raise MalformedBody("text may hold neither NUL nor half of a surrogate pair", loc)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedBody("an object names a field twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedBody(f"{name} is not a JSON number")


def _parse_float(digits: str) -> float | int:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise MalformedBody("a number is too large")
    # JSON has one kind of number: to its schemas, 1.0 is an integer.
    return int(value) if value.is_integer() and abs(value) < EXACT else value


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise MalformedBody("a number is too large")
    return int(digits)
