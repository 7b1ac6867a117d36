"""Starts the local stack's gateway beside its services, and holds them.

The supervisor holds the listening socket and the services; only the gateway starts anew when code changes.
Every child ends with the supervisor, however that ends.
"""

import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from watchfiles import PythonFilter, watch

from dev import aws, environment, services
from dev.guard import guarded, let_go
from dev.local import ROOT, STACK, only_one
from dev.sam import TEMPLATE, Template
from dev.trouble import Trouble

WATCHED = (ROOT / "functions", ROOT / "layers", ROOT / "dev", TEMPLATE)


@dataclass(frozen=True, slots=True)
class Stack:
    """What stays up while the gateway comes and goes."""

    listening: socket.socket
    settings: dict[str, str]
    endpoint: str


def run() -> None:
    """Start everything and serve until somebody interrupts us; every failure is a `Trouble`."""
    with ExitStack() as resources:
        _serve(_started(resources))


def _started(resources: ExitStack) -> Stack:
    env = environment.load()
    port = environment.port(env)
    resources.enter_context(only_one(STACK, services.ALREADY))
    listening = resources.enter_context(services.listen_on(port))
    running = resources.enter_context(services.running(environment.with_defaults(env, port)))
    services.announce("AI Learning Platform, on this machine alone", running.places)
    print("Ctrl-C ends all of it; code changes are picked up.", flush=True)
    return Stack(listening, running.settings, running.endpoint)


def _serve(stack: Stack) -> None:
    """Run the gateway, each time anew after a change, until somebody interrupts us."""
    gateway = launched(stack)
    try:
        # One watch for all its lives, so that what changes during a restart is not missed.
        for changes in watch(
            *WATCHED, watch_filter=PythonFilter(extra_extensions=(".yaml", ".txt")), step=100
        ):
            names = sorted({Path(path).name for _, path in changes})
            print(f"Changed: {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}. Starting anew.")
            _end(gateway)
            gateway = launched(stack)
    finally:
        _end(gateway)


def launched(stack: Stack) -> "subprocess.Popen[bytes] | None":
    """The gateway's process; none if the template cannot be read as it stands."""
    try:
        environment_of_functions = _environment(stack)
    except Trouble as trouble:
        print(trouble, "The next change is tried again.", file=sys.stderr)
        return None
    descriptor = stack.listening.fileno()
    return guarded(
        [sys.executable, "-m", "dev.gateway", "--fd", str(descriptor)],
        cwd=ROOT,
        env=environment_of_functions,
        pass_fds=[descriptor],
    )


def _environment(stack: Stack) -> dict[str, str]:
    template = Template(TEMPLATE, endpoint=stack.endpoint)
    aws.create_missing(template)
    return services.functions_environment(template, stack.settings, stack.listening.getsockname()[1])


def _end(gateway: "subprocess.Popen[bytes] | None") -> None:
    if gateway:
        let_go(gateway)
