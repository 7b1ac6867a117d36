"""Several callers at the same moment, each a Lambda environment of its own; and who waits for whom."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from psycopg import Connection

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What `call` gives for every item, all of them called together."""
    waiting = list(items)
    barrier = Barrier(len(waiting))

    def start(item: Item) -> Result:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        barrier.wait()
        try:
            return call(item)
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    with ThreadPoolExecutor(len(waiting)) as pool:
        return list(pool.map(start, waiting))


def waiting_for_locks(connection: Connection) -> int:
    """How many transactions wait for what another one holds."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    [(count,)] = connection.execute(query)
    return int(count)
