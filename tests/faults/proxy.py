"""A TCP proxy before a service, which does to connections what networks and dying servers do."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal, Self, TypeVar

Result = TypeVar("Result")
Mode = Literal["pass", "refuse", "hold", "black hole"]
"""`refuse` resets whoever connects; `hold` accepts and lets nothing through until the mode changes;
a `black hole` swallows what is sent, both ways, on connections old and new."""

COMMIT = b"COMMIT\0"
"""How psycopg sends it, in the simple protocol and in the extended one."""

RESET = struct.pack("ii", 1, 0)
PIECE = 65_536


@dataclass(eq=False)
class _Link:
    """A client's connection and the one to the service."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    swallowing: bool = False
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if writer is None:
                continue
            raw: socket.socket | None = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() != -1:
                # Lingering for zero seconds turns the close into an RST.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """`with Proxy(port) as proxy`: `proxy.port` leads to `port`, as well or badly as `proxy.mode` says."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._mode: Mode = "pass"
        self.port = 0
        self.connects: list[float] = []
        """When somebody connected, on the monotonic clock."""
        self.swallow: Callable[[], bool] = lambda: False
        """Asked at each COMMIT that goes by: whether its answer is swallowed and the connection reset."""
        self.commits = self.swallowed = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        async def change() -> None:
            self._mode = mode
            self._changed.set()
            self._changed = asyncio.Event()

        self._call(change())

    def reset_all(self) -> int:
        """Reset every connection there is; how many that were."""

        async def reset() -> int:
            links = list(self._links)
            for link in links:
                link.reset()
            return len(links)

        return self._call(reset())

    def busiest_second(self) -> int:
        """The most connects within one second."""
        return max(
            (sum(start <= at < start + 1 for at in self.connects) for start in self.connects), default=0
        )

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for link in self._links for task in link.tasks]
        for link in list(self._links):
            link.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects.append(monotonic())
        link = _Link(writer)
        self._links.add(link)
        try:
            await self._connect(link, reader)
        except OSError:
            pass
        finally:
            self._links.discard(link)
            link.reset()

    async def _connect(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while self._mode == "hold":
            await self._changed.wait()
        if self._mode == "refuse":
            return
        answers, link.server = await asyncio.open_connection("127.0.0.1", self._target)
        link.tasks = [
            asyncio.ensure_future(self._questions(link, reader)),
            asyncio.ensure_future(self._answers(link, answers)),
        ]
        await asyncio.wait(link.tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in link.tasks:
            task.cancel()
        await asyncio.gather(*link.tasks, return_exceptions=True)

    async def _questions(self, link: _Link, reader: asyncio.StreamReader) -> None:
        assert link.server is not None
        while piece := await reader.read(PIECE):
            if self._mode == "black hole":
                continue
            if COMMIT in piece:
                self.commits += 1
                link.swallowing = self.swallow()
            link.server.write(piece)
            await link.server.drain()

    async def _answers(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(PIECE):
            if self._mode == "black hole":
                continue
            if link.swallowing:
                self.swallowed += 1
                return
            link.client.write(piece)
            await link.client.drain()
