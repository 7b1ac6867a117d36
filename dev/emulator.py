"""Runs built functions as Lambda does: AWS's own runtime client, each function under AWS's own emulator.

`make artifact` puts into one folder what a function finds in AWS: `task` (its code), `layer`, `runtime` (the
client and boto3), and the emulator.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from dev.guard import guarded, let_go
from dev.local import ROOT
from dev.runtime import FunctionError, Runtime
from dev.sam import Function
from dev.services import free_port
from dev.threads import Threads
from dev.trouble import Trouble

MACHINE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
ARTIFACT = ROOT / ".aws-sam" / f"artifact-{MACHINE}"
CLIENT = ["-s", "-m", "awslambdaric"]
INVOKE = "/2015-03-31/functions/function/invocations"
START_SECONDS = 30.0
# Of the address space, which the code itself and memory that is only reserved count towards, too.
LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)
# The folders of an artifact may not be written to, which root heeds only without this.
HEEDING_MODES = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Environment:
    """A running execution environment of a function."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path


class Emulator(Runtime):
    """The built functions of an artifact, one environment each, which serves one event at a time."""

    def __init__(
        self,
        functions: dict[str, Function],
        settings: Mapping[str, str],
        logs: Path,
        *,
        python: Path,
        artifact: Path = ARTIFACT,
    ) -> None:
        super().__init__(functions)
        self._threads = {name: Threads(1, name) for name in functions}
        self._settings, self._logs, self._python, self._artifact = settings, logs, python, artifact
        self._environments: dict[str, Environment] = {}

    def load(self) -> None:
        """Start every function's environment, as they are, without an event."""
        for name in self.functions:
            self._environments[name] = self._start(name)
        for name, environment in self._environments.items():
            _wait_until_listening(name, environment)

    def log(self, name: str) -> str:
        """All that a function's environment has said."""
        return self._environments[name].log.read_text(errors="replace")

    def peak_memory(self, name: str) -> int:
        """The most memory a function's process ever held, in bytes."""
        (ours,) = _running(self._environments[name].process.pid, [*CLIENT, self.functions[name].handler])
        status = Path(f"/proc/{ours}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def close(self, seconds: float | None = None) -> None:
        super().close(seconds)
        for environment in self._environments.values():
            let_go(environment.process)

    def _call(self, name: str, payload: str) -> Any:
        limit = self.functions[name].timeout + 5
        connection = HTTPConnection("127.0.0.1", self._environments[name].port, timeout=limit)
        try:
            connection.request("POST", INVOKE, payload)
            body = connection.getresponse().read()
        finally:
            connection.close()
        answer = json.loads(body) if body else None
        # A function's error is no error of the emulator's: it is told by what the answer says.
        if isinstance(answer, dict) and "errorType" in answer:
            raise FunctionError(f"{name} raised {answer['errorType']}: {answer.get('errorMessage', '')}")
        return answer

    def _start(self, name: str) -> Environment:
        function, port, log = self.functions[name], free_port(), self._logs / f"{name}.log"
        emulator = [str(self._artifact / "aws-lambda-rie")]
        emulator += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        emulator += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
        limited = [*HEEDING_MODES, str(self._python), "-c", LIMITED, str(function.memory * MIB)]
        with log.open("wb") as output:
            process = guarded(
                [*emulator, *limited, *CLIENT, function.handler],
                cwd=self._artifact / "task",
                env=self._environment(function),
                stdout=output,
                stderr=output,
            )
        return Environment(process, port, log)

    def _environment(self, function: Function) -> dict[str, str]:
        folders = (self._artifact / part for part in ("task", "layer/python", "runtime"))
        return {
            **self._settings,
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": ":".join(map(str, folders)),
            "LAMBDA_TASK_ROOT": str(self._artifact / "task"),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        }


def _wait_until_listening(name: str, environment: Environment) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and environment.process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", environment.port, timeout=1)
            connection.connect()
        except OSError:
            time.sleep(0.05)
        else:
            connection.close()
            return
    raise Trouble(f"The emulator of {name} does not answer; its log is {environment.log}.")


def _running(pid: int, arguments: list[str]) -> list[int]:
    """The processes below one that were called with these arguments."""
    found = []
    for child in _children(pid):
        command = Path(f"/proc/{child}/cmdline").read_text().rstrip("\0").split("\0")
        found += [child] if command[1:] == arguments else _running(child, arguments)
    return found


def _children(pid: int) -> list[int]:
    # By thread: the emulator starts its child from any of its own.
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]
