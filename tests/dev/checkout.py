"""A copy of the sources, so that what runs in the real checkout is none of a test's business."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from dev.local import ROOT
from tests import leaks

PARTS = ("dev", "functions", "infra", "layers")
SECONDS = 60


class Checkout:
    def __init__(self, root: Path) -> None:
        self.root = root
        for part in PARTS:
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        roots = (root, root / "functions", root / "layers" / "common")
        self.environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "PYTHONPATH": os.pathsep.join(map(str, roots)),
        }

    def run(self, module: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.root,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    @contextmanager
    def stack(self, *arguments: str, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
        with (self.root / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dev.stack", *arguments],
                cwd=self.root,
                env={**self.environment, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(SECONDS)
            leaks.watch(self.log)

    def status(self, path: str) -> int | None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()


def eventually(fact: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.1)
    return fact()
