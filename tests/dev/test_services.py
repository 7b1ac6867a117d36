"""`make services` and `make sam-local`: containers reach what they need, or one sentence says why not."""

import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import containers, postgres, services
from dev.local import LOOPBACK
from dev.trouble import Trouble
from tests.dev.checkout import SECONDS, Checkout, eventually

SAM = Path(__file__).with_name("stand_in_sam.py")
# Plays a bridge's address: Linux has all of 127/8, macOS only the first.
BRIDGE = "127.0.0.2"
# https://www.postgresql.org/docs/18/protocol-message-formats.html
PROTOCOL = 3 << 16
ASKS_FOR_PASSWORD, REFUSES = b"R", b"E"


@pytest.fixture(scope="module")
def bridge() -> str:
    try:
        services.free_port(BRIDGE)
    except OSError:
        pytest.skip(f"This machine has no {BRIDGE}.")
    return BRIDGE


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def server(bridge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    with postgres.running(tmp_path_factory.mktemp("data"), durable=False, address=bridge) as running:
        yield running


def an_engine(folder: Path, answer: int) -> str:
    """A PATH that begins with a `docker` of ours."""
    command = folder / "docker"
    command.write_text(f"#!/bin/sh\nexit {answer}\n")
    command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_the_services_alone_say_where_they_are_let_nobody_else_start_and_end_together(
    checkout: Checkout,
) -> None:
    with checkout.stack("services") as running:
        assert eventually(lambda: "Ctrl-C ends all of it." in checkout.log), checkout.log
        known = dict(line.strip().split("=", 1) for line in checkout.log.splitlines() if "_URL=" in line)
        assert {url.split("@")[-1].split("//")[-1].split(":")[0] for url in known.values()} == {
            "host.docker.internal"
        }
        ports = [int(url.rsplit(":", 1)[1].split("/")[0]) for url in known.values()]
        for port in ports:
            socket.create_connection((LOOPBACK, port), timeout=SECONDS).close()

        for other in ("dev", "services"):
            refused = checkout.run("dev.stack", other)
            assert (refused.returncode, refused.stderr) == (1, f"{services.ALREADY}\n")

        running.send_signal(signal.SIGINT)
        assert running.wait(SECONDS) == 0
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port), timeout=SECONDS)


def test_what_is_built_works_with_nothing_but_the_settings_handed_over(
    checkout: Checkout, bridge: str, tmp_path: Path
) -> None:
    path = an_engine(tmp_path, 0)
    command = ("dev.stack", "sam-local", sys.executable, str(SAM))
    done = checkout.run(*command, PATH=path, SERVICES_ADDRESS=bridge)
    assert "A guest gets 200" in done.stdout, done.stderr
    assert done.stderr == "`sam local` ended by itself (see above), with code 0.\n"


def test_a_database_that_containers_cannot_reach_is_not_mistaken_for_one_that_they_can(
    checkout: Checkout, bridge: str
) -> None:
    assert checkout.run("dev.database", "up").returncode == 0
    refused = checkout.run("dev.stack", "services", SERVICES_ADDRESS=bridge)
    assert checkout.run("dev.stop").returncode == 0
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Postgres is already up, but does not listen on {bridge}: end it with `make stop-all`.\n"
    )


def test_without_an_engine_nothing_is_built_and_one_sentence_says_so(
    checkout: Checkout, tmp_path: Path
) -> None:
    done = checkout.run("dev.stack", "sam-local", "false", PATH=an_engine(tmp_path, 1))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No Docker engine answers `docker info`")
    assert done.stderr.count("\n") == 1


def test_without_the_command_the_sentence_is_the_same() -> None:
    with pytest.raises(Trouble, match="No Docker engine answers"):
        containers.check_engine(["a-docker-that-is-not-there"])


def test_a_build_that_fails_is_one_sentence() -> None:
    with pytest.raises(Trouble, match="could not be built"):
        containers.build(["false"])


def test_the_containers_command_hears_of_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "mine")
    told = {name: value for name, value in containers.sam_environment().items() if name.startswith("AWS_")}
    assert "mine" not in told.values()
    assert told["AWS_ACCESS_KEY_ID"] == "local"


@pytest.mark.parametrize("address", ["0.0.0.0", "203.0.113.7", "docker0", "::1"])
def test_an_address_that_is_not_one_of_this_machines_is_refused(address: str) -> None:
    with pytest.raises(Trouble, match="SERVICES_ADDRESS has to be one IPv4 address of this machine"):
        services.listening_address({"SERVICES_ADDRESS": address})


def test_without_a_setting_nobody_else_reaches_the_services() -> None:
    assert services.listening_address({}) == LOOPBACK


@pytest.mark.parametrize(
    ("role", "answer"), [(postgres.APP, ASKS_FOR_PASSWORD), (postgres.SUPERUSER, REFUSES)]
)
def test_from_a_bridge_the_application_may_log_in_and_the_superuser_may_not(
    server: postgres.Server, bridge: str, role: str, answer: bytes
) -> None:
    asked = f"user\0{role}\0database\0{postgres.DATABASE}\0\0".encode()
    # By hand, because libpq cannot choose the address that it comes from.
    with socket.create_connection((bridge, server.port), SECONDS, source_address=(bridge, 0)) as connection:
        connection.sendall(struct.pack("!II", len(asked) + 8, PROTOCOL) + asked)
        assert connection.recv(1) == answer
