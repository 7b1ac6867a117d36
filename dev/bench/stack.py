"""A local stack of the benchmark's own: nothing of this checkout's data is read or written."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from academy.migrate import upgrade
from dev import aws, environment, postgres, services, supervisor
from dev.guard import let_go

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Running:
    """Where the platform and, for comparison, its model server answer."""

    port: int
    model_url: str
    settings: dict[str, str]


@contextmanager
def running() -> Iterator[Running]:
    with ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        server = resources.enter_context(postgres.running(folder))
        upgrade(server.owner_url, app_role=postgres.APP, sweeper_role=postgres.SWEEPER)
        listening = resources.enter_context(services.listen_on(0))
        port = listening.getsockname()[1]
        settings = environment.with_defaults({"SECRET_KEY": "only for benchmarks " * 2}, port)
        settings["DATABASE_URL"] = server.url
        settings["SWEEPER_DATABASE_URL"] = server.sweeper_url
        endpoint = resources.enter_context(aws.running())
        services.with_tutor(settings, resources)
        gateway = supervisor.launched(supervisor.Stack(listening, settings, endpoint))
        if gateway is None:
            raise RuntimeError("The gateway could not be started.")
        resources.callback(let_go, gateway)
        _wait_for(port)
        yield Running(port, settings["DEFAULT_OPENAI_BASE_URL"], settings)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/api/health")
            if connection.getresponse().status == 200:
                return
        finally:
            connection.close()
    raise RuntimeError("The stack did not start in time.")
