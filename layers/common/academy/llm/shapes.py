"""The words of a conversation with a model: who says what, which model, what it cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypedDict, TypeVar

T = TypeVar("T")

# A message costs a few tokens beyond its words, for the role and the borders.
_TOKENS_PER_MESSAGE = 4


class Message(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Model:
    """Which model, where, and with whose key; an empty key suits a server that asks for none."""

    name: str
    base_url: str
    api_key: str = field(repr=False)
    max_tokens: int
    temperature: float | None = None
    trusted: bool = False
    """The operator's own URL: its addresses are not checked."""
    allowed_private: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens paid for: as the provider counted them, or estimated when it did not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens
        )


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A whole answer; `calls` counts the questions that it took, `usage` is their sum."""

    content: T
    model: str
    usage: Usage
    calls: int = 1


def estimate_tokens(text: str) -> int:
    """Roughly how many tokens a text takes: a quarter of its UTF-8 bytes, rounded up.

    Four letters of English, two of Russian, somewhat more than one Chinese character make a token.
    English and Chinese prose come out within about a third; Russian up to twice too high with the
    newest tokenizers, which is the safe side of a budget; dense code a third too low.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def estimate_prompt(messages: Iterable[Message]) -> int:
    return sum(estimate_tokens(message["content"]) + _TOKENS_PER_MESSAGE for message in messages)
