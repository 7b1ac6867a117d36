"""Frames of every kind, from a seed: nearly right ones, any JSON, and texts that are none."""

import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

NAMES = ("type", "command", "message", "chat_id", "message_id", "client_message_id", "user_id", "x")
WORDS = (
    "restore_chat",
    "cancel",
    "ping",
    "text",
    "switch_chat",
    "get_user_chats",
    "restore_history",
    "",
    "нет",
)


def frames(number: int, seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    makers = (_nearly_right, _any_json, _cut, _noise, _huge)
    for _ in range(number):
        yield chance.choices(makers, (60, 20, 10, 9, 1))[0](chance)


def _nearly_right(chance: random.Random) -> str:
    names = chance.sample(NAMES, chance.randint(0, 4))
    return json.dumps({name: _value(chance, 1) for name in names}, ensure_ascii=chance.random() < 0.5)


def _any_json(chance: random.Random) -> str:
    return json.dumps(_value(chance, 3))


def _cut(chance: random.Random) -> str:
    text = _nearly_right(chance)
    return text[: chance.randint(0, len(text))]


def _noise(chance: random.Random) -> str:
    return "".join(chr(chance.randint(0, 0xD7FF)) for _ in range(chance.randint(0, 200)))


def _huge(chance: random.Random) -> str:
    return json.dumps({"message": "я" * chance.randint(15_990, 60_000)}, ensure_ascii=False)


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.randint(0, 8 if depth else 6)
    match kind:
        case 0:
            return chance.choice(WORDS)
        case 1:
            return str(uuid4())
        case 2:
            return chance.choice((None, True, False, 0, -1, 1.5, 2**63, 10**30, "\x00", "\ud800", "💃"))
        case 3 | 4 | 5:
            return "".join(chance.choices('абв xyz\n"\\{}[]', k=chance.randint(0, 20)))
        case 6:
            return chance.random()
        case 7:
            return [_value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return {chance.choice(NAMES): _value(chance, depth - 1) for _ in range(chance.randint(0, 3))}
