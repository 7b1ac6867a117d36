"""A model's reply while it arrives: its words, its end, its cost."""

from collections.abc import Sequence
from typing import Any

from academy.llm.errors import BadOutput, ModelUnavailable
from academy.llm.shapes import Message, Usage, estimate_prompt, estimate_tokens
from academy.llm.text import Cleaner

LONGEST_TEXT = 2 * 1024 * 1024
_MOST_TOKENS = 100_000_000


class Reply:
    """Gathers what a server sends; nothing in it is taken to have the type that it should have."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.begun = False
        self.finish: str | None = None
        self._messages = messages
        self._cleaner = Cleaner()
        self._pieces: list[str] = []
        self._length = 0
        self._refused = False
        self._reported: Usage | None = None

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def usage(self) -> Usage:
        if not self.begun:
            return Usage()
        return self._reported or Usage(estimate_prompt(self._messages), estimate_tokens(self.text))

    def take(self, event: Any) -> str:
        """Adds a chunk, or a whole completion, and returns its words, clean."""
        self._count(getattr(event, "usage", None))
        choices = getattr(event, "choices", None)
        if not choices:
            return ""
        finish = choices[0].finish_reason
        said = getattr(choices[0], "delta", None) or getattr(choices[0], "message", None)
        self._refused = self._refused or bool(getattr(said, "refusal", None))
        words = self._add(self._cleaner.feed(getattr(said, "content", None) or ""))
        self.finish = str(finish).lower() if finish else self.finish
        return words

    def close(self) -> str:
        """The rest of the words: what was held back in the hope of an emoji's second half."""
        if self.finish is None:
            raise ModelUnavailable("The model's answer broke off. Try again.")
        return self._add(self._cleaner.finish())

    def check_whole(self) -> None:
        """Refuses everything but a reply that the model itself brought to its end."""
        if self._refused or self.finish == "content_filter":
            raise self.failed("The model declined to answer. Put the request in other words.")
        if self.finish == "length":
            raise self.failed(
                "The model's answer was cut off: it needs a larger token limit, or a shorter task."
            )
        if self.finish != "stop" or not self.text.strip():
            raise self.failed("The model ended its turn without an answer. Try again.")

    def failed(self, detail: str) -> BadOutput:
        error = BadOutput(detail)
        error.usage, error.calls = self.usage, 1
        return error

    def _add(self, words: str) -> str:
        self._length += len(words)
        if self._length > LONGEST_TEXT:
            raise ModelUnavailable("The model's answer is too long to be one. Try again.")
        if words:
            self._pieces.append(words)
        return words

    def _count(self, usage: Any) -> None:
        if usage is None:
            return
        counts = usage.prompt_tokens, usage.completion_tokens
        if all(isinstance(count, int) and 0 <= count <= _MOST_TOKENS for count in counts):
            self._reported = Usage(*counts)
