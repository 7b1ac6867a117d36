"""Makes a model's words fit for a database: text that Postgres and JSON can hold."""

from typing import Any

_HIGH_SURROGATES = ("\ud800", "\udbff")


def clean(text: str) -> str:
    """The text with NUL and lone surrogates as U+FFFD; two halves of one emoji become the emoji."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "\ufffd")


def clean_tree(value: Any) -> Any:
    """Decoded JSON with every string in it cleaned: an escape can hide what the raw text did not show."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_tree(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_tree(item) for key, item in value.items()}
    return value


class Cleaner:
    """Cleans text that comes in pieces, where a piece may end in the middle of an emoji."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        text, self._held = self._held + piece, ""
        if text and _HIGH_SURROGATES[0] <= text[-1] <= _HIGH_SURROGATES[1]:
            text, self._held = text[:-1], text[-1]
        return clean(text)

    def finish(self) -> str:
        rest, self._held = self._held, ""
        return clean(rest)
