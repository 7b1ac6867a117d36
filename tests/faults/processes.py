"""The whole platform in a process of its own, before services that a scenario may break."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from dev.guard import guarded, let_go

START_SECONDS = 60
POOL = 24


@dataclass(frozen=True)
class Platform:
    """A running gateway with its functions, worker and sweeper."""

    port: int
    log: Path
    process: "subprocess.Popen[bytes]"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/chat/everybodys-session"

    @property
    def is_the_same(self) -> bool:
        """Whether the process that was started still runs."""
        return self.process.poll() is None


@contextmanager
def running(log: Path, environment: dict[str, str], sink: int | None = None) -> Iterator[Platform]:
    """What it prints goes to the file `log`, or to the descriptor `sink`."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        port = listening.getsockname()[1]
        variables = {
            **os.environ,
            **environment,
            "WEBSOCKET_MANAGEMENT_URL": f"http://127.0.0.1:{port}/ws",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        with log.open("wb") as output:
            process = guarded(
                [sys.executable, "-m", "dev.gateway", "--fd", str(listening.fileno())],
                stdout=output if sink is None else sink,
                stderr=output,
                env=variables,
                pass_fds=[listening.fileno()],
            )
        try:
            _wait_until_ready(port)
            yield Platform(port, log, process)
        finally:
            let_go(process)


def _wait_until_ready(port: int) -> None:
    # The port is open already: whoever asks waits until somebody serves.
    connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    connection.request("GET", "/api/health")
    assert connection.getresponse().read()
    connection.close()
