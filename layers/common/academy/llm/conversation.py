"""Plain conversation: a whole answer at once, or word by word."""

import time
from collections.abc import Generator, Sequence

from academy.egress import Attend, Deadline
from academy.llm import wire
from academy.llm.reply import Reply
from academy.llm.shapes import Answer, Message, Model


def complete(
    messages: Sequence[Message], *, model: Model, seconds: float = 25, pause: wire.Pause = time.sleep
) -> Answer[str]:
    """The model's whole answer within `seconds`; raises `ModelError`, or `UnsafeUrl`."""
    reply = Reply(messages)
    deadline = Deadline(seconds)
    for _ in wire.converse(reply, list(messages), model=model, deadline=deadline, pause=pause):
        pass
    return _whole(reply, model)


def stream(
    messages: Sequence[Message],
    *,
    model: Model,
    seconds: float,
    attend: Attend | None = None,
    pause: wire.Pause = time.sleep,
) -> Generator[str | Answer[str], None, None]:
    """The answer's words as they arrive, then the whole `Answer`; closing it stops the model.

    Only the `Answer` says that the words before it are all: an answer that was cut off or declined
    ends in a `ModelError` instead. `attend` is called while words are awaited, some twenty times a
    second; when it returns False the call ends, in a `ModelError` too.
    """
    reply = Reply(messages)
    deadline = Deadline(seconds, attend=attend)
    yield from wire.converse(reply, list(messages), model=model, deadline=deadline, pause=pause)
    yield _whole(reply, model)


def _whole(reply: Reply, model: Model) -> Answer[str]:
    reply.check_whole()
    return Answer(reply.text, model.name, reply.usage)
