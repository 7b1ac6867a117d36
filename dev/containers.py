"""The HTTP API as `make sam-local` serves it: what is built, in containers beside the local services."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dev import aws, environment, handover, services
from dev.emulator import MACHINE
from dev.guard import guarded, let_go
from dev.local import LOCAL, ROOT, STACK, only_one
from dev.sam import REGION, TEMPLATE, Template
from dev.trouble import Trouble

DEFAULT_PORT = "3000"
# Apart from what `make deploy` takes: this is for another machine.
BUILD = ROOT / ".aws-sam" / "local"
SETTINGS = LOCAL / "sam-local.json"
ENGINE_SECONDS = 30
STOP_SECONDS = 20


def run(*sam: str) -> None:
    """Build by the command `sam`, and serve until somebody interrupts us; every failure is a `Trouble`."""
    env = environment.load()
    port, address = environment.port(env, DEFAULT_PORT), services.listening_address(env)
    check_engine()
    with only_one(STACK, services.ALREADY):
        services.listen_on(port).close()
        build(sam)
        settings = environment.with_defaults(env, port)
        with services.running(settings, address) as running:
            services.announce("The HTTP API in containers; no sockets, queues or schedules", running.places)
            template = hand_over(running, port, address)
            serve([*sam, *start_command(template, port)])


def check_engine(command: Sequence[str] = ("docker", "info")) -> None:
    """A `Trouble` unless an engine answers: the command alone runs nothing."""
    try:
        answers = (
            subprocess.run(command, capture_output=True, timeout=ENGINE_SECONDS, check=False).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        answers = False
    if not answers:
        raise Trouble(
            "No Docker engine answers `docker info`, and `sam local` runs functions in its containers: "
            "install or start one, or use `make dev`, which needs none."
        )


def build(sam: Sequence[str]) -> None:
    command = [*sam, "build", "-t", str(TEMPLATE), "--build-dir", str(BUILD)]
    # The layer's makefile hears of the architecture by ARCH.
    if (
        subprocess.run(command, cwd=ROOT, env={**sam_environment(), "ARCH": MACHINE}, check=False).returncode
        != 0
    ):
        raise Trouble("What is to run could not be built (see above).")


def hand_over(running: services.Services, port: int, address: str, built: Path = BUILD) -> Path:
    """Make the tables and queues, write what `sam local` needs, and tell which template it is to read."""
    aws.create_missing(Template(TEMPLATE, endpoint=running.endpoint))
    template = Template(built / "template.yaml", endpoint=running.endpoint)
    values = services.for_containers(template, running, port, address)
    handover.write_settings(SETTINGS, values, template.functions)
    return handover.write_template(template.path, values, MACHINE)


def start_command(template: Path, port: int) -> list[str]:
    files = ["--template", str(template), "--env-vars", str(SETTINGS)]
    # Without warm containers, every request would wait for a new one.
    return ["local", "start-api", *files, "--warm-containers", "LAZY", "--port", str(port)]


def serve(command: list[str]) -> None:
    process = guarded(command, seconds=STOP_SECONDS, cwd=ROOT, env=sam_environment())
    try:
        ended = process.wait()
    finally:
        let_go(process)
    raise Trouble(f"`sam local` ended by itself (see above), with code {ended}.")


def sam_environment() -> dict[str, str]:
    """Ours, without what leads to an account: `sam local` would hand that to the functions."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**env, **aws.CREDENTIALS, "AWS_DEFAULT_REGION": REGION}
