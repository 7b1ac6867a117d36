"""What calls functions without anybody asking: the template's queues and schedules."""

import threading
from concurrent.futures import wait
from typing import Protocol

from dev.queue_poller import QueuePoller
from dev.runtime import Runtime
from dev.sam import Schedule, Template
from dev.source_events import scheduled_event


class Source(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Clock:
    """Calls a function again and again, but never while it still runs."""

    def __init__(self, schedule: Schedule, runtime: Runtime) -> None:
        self._schedule = schedule
        self._runtime = runtime
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tick, name=schedule.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        self.stop()

    def _tick(self) -> None:
        schedule = self._schedule
        while not self._stopping.wait(schedule.seconds):
            event = scheduled_event(schedule.name, scheduler=schedule.scheduler)
            wait([self._runtime.invoke(schedule.function, event)])


class EventSources:
    """All queues and schedules of a template; without an `endpoint` it has no queues."""

    def __init__(self, template: Template, runtime: Runtime) -> None:
        self._sources: list[Source] = [Clock(schedule, runtime) for schedule in template.schedules]
        if template.endpoint:
            self._sources += [
                QueuePoller(source, runtime, template.endpoint) for source in template.queue_sources
            ]

    def start(self) -> None:
        for source in self._sources:
            source.start()

    def stop(self) -> None:
        """Begin nothing more."""
        for source in self._sources:
            source.stop()

    def close(self) -> None:
        """Let go of what is not done."""
        for source in self._sources:
            source.close()
