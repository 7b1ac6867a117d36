"""Starts and holds the parts of the local stack.

The supervisor holds the listening socket, Postgres, moto and the tutor; only the gateway starts anew when
code changes. Every child ends with the supervisor, however that ends.
"""

import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from watchfiles import PythonFilter, watch

from dev import aws, database, environment
from dev.guard import guarded, let_go
from dev.local import ROOT, STACK, only_one
from dev.sam import TEMPLATE, Template
from dev.trouble import Trouble

WATCHED = (ROOT / "functions", ROOT / "layers", ROOT / "dev", TEMPLATE)
ALREADY = "`make dev` already runs in this checkout: use that one, or end it with `make stop-all`."


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
    resources.enter_context(only_one(STACK, ALREADY))
    listening = resources.enter_context(listen_on(port))
    settings = environment.with_defaults(env, port)
    stored = resources.enter_context(database.ready(settings))
    settings["DATABASE_URL"] = stored.url
    endpoint = resources.enter_context(aws.running())
    model = with_tutor(settings, resources)
    environment.checked(settings)
    _announce(
        {
            "Database": stored.place,
            "AWS": f"DynamoDB and SQS at {endpoint}, forgotten at the end",
            "Tutor": model,
        }
    )
    return Stack(listening, settings, endpoint)


def listen_on(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise Trouble(
            f"Port {port} cannot be used ({error.strerror}): "
            "end the program that uses it, or choose another port, such as PORT=8001 make dev."
        ) from None
    return listening


def with_tutor(settings: dict[str, str], resources: ExitStack) -> str:
    """Start the offline tutor unless the settings name a model; a sentence for the banner."""
    if "DEFAULT_OPENAI_API_KEY" in settings or "DEFAULT_OPENAI_BASE_URL" in settings:
        configured = environment.checked(settings)
        return (
            f"{configured.default_openai_model} at {configured.default_openai_base_url or 'api.openai.com'}"
        )
    port = free_port()
    command = [sys.executable, "-m", "dev.tutor", "--port", str(port)]
    resources.callback(let_go, guarded(command, cwd=ROOT, env=settings))
    url = f"http://127.0.0.1:{port}/v1"
    settings |= {
        "DEFAULT_OPENAI_BASE_URL": url,
        "DEFAULT_OPENAI_API_KEY": "local-tutor",
        "DEFAULT_OPENAI_MODEL": "tutor-demo",
    }
    return f"an offline demo at {url}; DEFAULT_OPENAI_API_KEY brings a real model"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _announce(places: Mapping[str, str]) -> None:
    print("AI Learning Platform, on this machine alone")
    for name, place in places.items():
        print(f"  {name:<10}{place}")
    print("Ctrl-C ends all of it; code changes are picked up.", flush=True)


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
    return functions_environment(template, stack.settings, stack.listening.getsockname()[1])


def functions_environment(template: Template, settings: Mapping[str, str], port: int) -> dict[str, str]:
    """What the template gives the functions, over it the local settings, and an AWS that is not real."""
    declared = {
        k: v for function in template.functions.values() for k, v in function.environment.items() if v
    }
    local = {k: v for k, v in settings.items() if not k.startswith("AWS_")}
    stage = template.websocket_api.stage
    sockets = {"WEBSOCKET_MANAGEMENT_URL": f"http://127.0.0.1:{port}/{stage}"} if stage else {}
    return {**declared, **local, **sockets, **aws.environment(template.endpoint)}


def _end(gateway: "subprocess.Popen[bytes] | None") -> None:
    if gateway:
        let_go(gateway)
