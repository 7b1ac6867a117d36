"""One question to one model over Chat Completions: the only file that imports openai."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import SystemRandom
from typing import TYPE_CHECKING, Any, cast

from academy.egress import Deadline
from academy.llm.dialect import Dialect, JsonSchema, memory_of
from academy.llm.errors import KeyRejected, ModelError, ModelRateLimited, ModelTimeout, ModelUnavailable
from academy.llm.reply import Reply
from academy.llm.shapes import Message, Model
from academy.observability import logger

if TYPE_CHECKING:
    import openai

Pause = Callable[[float], None]

MOST_PATIENCE = 5.0
_JITTER = (0.2, 0.6)
# The system's, for environments restored from one snapshot would all draw the same numbers.
_CHANCE = SystemRandom()
# A token travels in an envelope of some 300 bytes, so a long answer needs more than the door's 2 MiB.
_BYTES_PER_TOKEN = 512


def converse(
    reply: Reply,
    messages: list[Message],
    *,
    model: Model,
    deadline: Deadline,
    pause: Pause,
    schema: JsonSchema | None = None,
) -> Iterator[str]:
    """Fills `reply` and yields its words as they arrive; raises `ModelError`, or `UnsafeUrl`."""
    try:
        with _told_in_our_words(), _client(model, deadline) as client:
            events = _open(client, messages, model, schema, deadline, pause)
            reply.begun = True
            yield from _words(reply, events)
        if rest := reply.close():
            yield rest
    except ModelError as error:
        error.usage, error.calls = reply.usage, int(reply.begun)
        raise


def _words(reply: Reply, events: Iterable[Any]) -> Iterator[str]:
    try:
        for event in events:
            if words := reply.take(event):
                yield words
    except _faults():
        # After the end only the bill was missing: the answer is whole without it.
        if reply.finish is None:
            raise


@contextmanager
def _client(model: Model, deadline: Deadline) -> "Iterator[openai.OpenAI]":
    import openai

    from academy.egress import dialer

    key = model.api_key or "none"
    if not (key.isascii() and key.isprintable()):
        raise KeyRejected  # no HTTP header can carry it
    limits = dialer.Limits(
        deadline=deadline,
        first_byte_seconds=None if model.trusted else dialer.FIRST_BYTE_SECONDS,
        response_bytes=max(dialer.RESPONSE_BYTES, model.max_tokens * _BYTES_PER_TOKEN),
    )
    door = dialer.client(model.base_url, limits, trusted=model.trusted, allowed_private=model.allowed_private)
    with openai.OpenAI(
        api_key=key,
        base_url=model.base_url,
        max_retries=0,
        http_client=door,
        # Said twice, because OPENAI_CUSTOM_HEADERS in the environment would win over `api_key`.
        default_headers={"Authorization": f"Bearer {key}"},
    ) as client:
        yield client


def _open(
    client: "openai.OpenAI",
    messages: list[Message],
    model: Model,
    schema: JsonSchema | None,
    deadline: Deadline,
    pause: Pause,
) -> Iterable[Any]:
    """The first answer that is not a refusal: asks in other words as often as that helps, again once."""
    import openai

    memory = memory_of(model)
    dialect, retried = memory.dialect, False
    while True:
        sent = dialect.parameters(model, schema)
        try:
            events = _send(client, model, dialect.messages(messages, schema), sent)
        except openai.APIError as error:
            if conceded := _concession(dialect, error, sent):
                dialect = conceded
                continue
            wait = None if retried else _wait(error)
            if wait is None or wait >= deadline.left():
                raise
            retried = True
            pause(wait)
        else:
            memory.dialect = dialect
            return events


def _send(
    client: "openai.OpenAI", model: Model, messages: list[Message], sent: dict[str, Any]
) -> Iterable[Any]:
    create = client.chat.completions.create
    words = cast(Any, messages)
    extra = {name: value for name, value in sent.items() if name != "stream"}
    if "stream" in sent:
        return _events(create(model=model.name, messages=words, stream=True, extra_body=extra))
    return [create(model=model.name, messages=words, extra_body=extra)]


def _events(stream: "openai.Stream[Any]") -> Iterator[Any]:
    if stream.response.headers.get("content-type", "").startswith("application/json"):
        # A server that cannot stream and does not say so.
        yield _completion(stream.response.read())
    else:
        yield from stream


def _completion(body: bytes) -> Any:
    from openai.types.chat import ChatCompletion

    return ChatCompletion.construct(**json.loads(body))


def _concession(dialect: Dialect, error: "openai.APIError", sent: dict[str, Any]) -> Dialect | None:
    if getattr(error, "status_code", None) not in (400, 422):
        return None
    named = error.param if isinstance(error.param, str) else str(error.body)
    return dialect.conceding(named[:10_000], sent)


def _wait(error: "openai.APIError") -> float | None:
    """Seconds before asking again; None where that would not help, or the server wants more patience."""
    import openai

    from academy.egress import dialer

    jitter = _CHANCE.uniform(*_JITTER)
    if isinstance(error, openai.APIStatusError):
        asked = _retry_after(error)
        if error.status_code != 429 and error.status_code < 500:
            return None
        return jitter if asked is None else asked if asked <= MOST_PATIENCE else None
    return jitter if isinstance(error.__cause__, dialer.ConnectError) else None


def _retry_after(error: "openai.APIStatusError") -> float | None:
    header = error.response.headers.get("retry-after", "")
    return float(header) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", header) else None


@contextmanager
def _told_in_our_words() -> Iterator[None]:
    """Whatever a server's answer broke becomes a `ModelError`, without a word of that answer."""
    try:
        yield
    except _faults() as error:
        fault = _fault(error)
        logger.warning("model call failed", code=fault.code, reason=type(error).__name__)
        raise fault from None


def _faults() -> tuple[type[Exception], ...]:
    """Beyond the SDK's own errors: those of its parser (bad JSON, bad UTF-8, deep nesting), of using an
    answer that is not what it should be, and of reading an error's body."""
    import openai

    from academy.egress import dialer

    garbage = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
    return (openai.OpenAIError, dialer.TransportError, *garbage)


def _fault(error: Exception) -> ModelError:
    import openai

    from academy.egress import dialer

    if isinstance(error, openai.APITimeoutError | dialer.TimedOut):
        return ModelTimeout()
    if isinstance(error, openai.APIStatusError):
        return _status_fault(error)
    if isinstance(error.__cause__, dialer.ConnectError):
        return ModelUnavailable("The model server cannot be reached. Check the base URL, or try again later.")
    return ModelUnavailable()


def _status_fault(error: "openai.APIStatusError") -> ModelError:
    match error.status_code:
        case 429:
            return ModelRateLimited(_retry_after(error))
        case 401 | 402 | 403:
            return KeyRejected()
        case 404:
            return ModelUnavailable(
                "The model server knows no such model. Check the model's name and the base URL."
            )
        case status if status < 400:
            return ModelUnavailable("The model server sends us elsewhere. Check the base URL.")
        case status if status < 500:
            return ModelUnavailable(
                "The model server refused the request. Check the model's name and its token limit."
            )
    return ModelUnavailable("The model server is in trouble. Try again in a moment.")
