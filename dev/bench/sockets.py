"""What the queue and the sockets add to a model's first words, and what a reply costs in AWS."""

import asyncio
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect

from ai import prompts
from dev.bench import costs
from dev.bench.stack import Running, running

ROUNDS = {1: 40, 50: 4}
"""How often each number of chats at once is measured."""
QUESTION = "How do I keep my balance in a turn?"


@dataclass
class Talk:
    """One reply as a socket saw it: seconds to its first words, and how much was pushed."""

    first: float = 0.0
    pushes: int = 0
    characters: int = 0


def report() -> None:
    with running() as stack:
        talks: list[Talk] = []
        print("Seconds from a frame to the reply's first words, beside the same request to the model itself:")
        asyncio.run(_talk_at_once(stack, 5))  # so that what is imported on first use is there
        for chats, rounds in ROUNDS.items():
            through, direct = [], []
            for _ in range(rounds):
                said = asyncio.run(_talk_at_once(stack, chats))
                talks += said
                through += [talk.first for talk in said]
                direct += asyncio.run(_ask_at_once(stack, chats))
            _print_latency(chats, through, direct)
        _print_pushes(talks)


async def _talk_at_once(stack: Running, chats: int) -> list[Talk]:
    tokens = [await asyncio.to_thread(_guest, stack.port) for _ in range(chats)]
    barrier = asyncio.Barrier(chats)
    return await asyncio.gather(*(_talk(stack.port, token, barrier) for token in tokens))


async def _talk(port: int, token: str, barrier: asyncio.Barrier) -> Talk:
    url = f"ws://127.0.0.1:{port}/ws/chat/bench"
    talk = Talk()
    async with connect(url, subprotocols=["bearer", token], proxy=None) as socket:  # type: ignore[list-item]
        await barrier.wait()
        started = time.perf_counter()
        await socket.send(json.dumps({"message": QUESTION}))
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            talk.pushes += 1
            if frame["type"] == "ai_delta" and not talk.first:
                talk.first = time.perf_counter() - started
            if frame["type"] == "ai_response":
                talk.characters = len(frame["message"])
                return talk


async def _ask_at_once(stack: Running, chats: int) -> list[float]:
    return await asyncio.gather(*(asyncio.to_thread(_ask, stack) for _ in range(chats)))


def _ask(stack: Running) -> float:
    """Seconds until the model server has said its first words."""
    url = urlsplit(stack.model_url)
    turns: Any = [{"role": "user", "content": QUESTION}]
    body = {
        "model": stack.settings["DEFAULT_OPENAI_MODEL"],
        "messages": prompts.ask(prompts.PLANNING, {}, turns),
        "stream": True,
    }
    connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
    started = time.perf_counter()
    connection.request(
        "POST", f"{url.path}/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
    )
    response = connection.getresponse()
    while b'"content"' not in response.readline():
        pass
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def _guest(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/api/auth/guest-login")
    token: str = json.loads(connection.getresponse().read())["access_token"]
    connection.close()
    return token


def _print_latency(chats: int, through: Sequence[float], direct: Sequence[float]) -> None:
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ours, theirs = _percentile(through, share) * 1000, _percentile(direct, share) * 1000
        print(
            f"  {chats:3} at once, {name}: {ours:6.0f} ms by socket, {theirs:5.0f} ms straight, "
            f"{ours - theirs:6.0f} ms on top  ({len(through)} replies)"
        )


def _print_pushes(talks: Sequence[Talk]) -> None:
    replies = len(talks)
    pushes, characters = sum(talk.pushes for talk in talks), sum(talk.characters for talk in talks)
    print(
        f"Pushes: {pushes / replies:.1f} a reply of {characters / replies:.0f} characters, "
        f"{pushes / characters * 1000:.1f} per 1,000 characters"
    )
    costs.print_costs()


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]
