"""Threads that run one function's invocations and never keep the process from ending.

An executor's threads are waited for when the interpreter exits, and a worker's reply may take minutes.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

Job = tuple["Future[Any]", Callable[[], Any]]


class Threads:
    """At most `size` threads, started as they are needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        self._jobs.put((future, call))
        self._see_to_a_thread()
        return future

    def close(self, seconds: float | None = None) -> None:
        """Drop what has not begun, and wait for the rest, at most so many seconds."""
        while not self._jobs.empty():
            if job := self._jobs.get():
                job[0].cancel()
        self._jobs.put(None)
        deadline = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if deadline is None else max(0, deadline - time.monotonic()))

    def _see_to_a_thread(self) -> None:
        with self._lock:
            if self._idle.acquire(blocking=False) or len(self._threads) == self._size:
                return
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        # Mangum runs the application on its thread's event loop, so every thread has one.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        while job := self._jobs.get():
            _run(*job)
            self._idle.release()
        # The word to end is for all of us.
        self._jobs.put(None)
        loop.close()


def _run(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - it is the caller's, who gets it from the future
        future.set_exception(error)


def cancel_leftovers() -> list[str]:
    """Cancel what still runs on this thread's event loop, and name it."""
    with suppress(RuntimeError):  # `asyncio.run` leaves a thread without a loop, and with nothing left over
        loop = asyncio.get_event_loop()
        if tasks := asyncio.all_tasks(loop):
            names = [getattr(task.get_coro(), "__qualname__", task.get_name()) for task in tasks]
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks, timeout=1))
            return sorted(names)
    return []
