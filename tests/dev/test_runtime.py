"""Functions are called as Lambda calls them: apart from each other, and with nothing left running behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from dev.gateway import GOODBYE_SECONDS
from dev.runtime import FunctionError, Runtime
from dev.sam import Function
from tests.dev.talking import TEMPLATE

NAMES = ("echo", "slow", "forgets", "exits")
UNFINISHED = """
import socket, sys, threading, time
from pathlib import Path
from dev import gateway
from dev.event_sources import EventSources
from dev.runtime import Runtime
from dev.sam import Function, Template
sys.modules["handlers"] = handlers = type(sys)("handlers")
begun = threading.Event()
handlers.replies = lambda event, context: (begun.set(), time.sleep(600))
runtime = Runtime({"Replies": Function("Replies", "handlers.replies", 900, 128, {})})
runtime.load()
runtime.invoke("Replies", {})
begun.wait()
if sys.argv[1:]:
    template = Template(Path(sys.argv[1]))
    sources, listening = EventSources(template, runtime), socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    gateway.server(gateway.application(template, runtime), sources).run(sockets=[listening])
"""


@pytest.fixture
def runtime() -> Runtime:
    functions = {name: Function(name, f"tests.dev.sample.{name}", 29, 128, {}) for name in NAMES}
    runtime = Runtime(functions, threads=1)
    runtime.load()
    return runtime


def test_a_function_that_is_busy_keeps_no_other_waiting(runtime: Runtime) -> None:
    slow = runtime.invoke("slow", {})
    assert runtime.invoke("echo", {}).result(1)["statusCode"] == 200
    assert not slow.done()


def test_what_has_not_begun_at_the_end_is_dropped(runtime: Runtime) -> None:
    first, second = runtime.invoke("slow", {}), runtime.invoke("slow", {})
    while not first.running():
        time.sleep(0.001)
    runtime.close(seconds=0)
    assert second.cancelled()


def test_a_task_that_a_handler_leaves_behind_is_cancelled_and_named(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runtime.invoke("forgets", {}).result(1) == {"statusCode": 200}
    assert capsys.readouterr().out == "forgets returned before goes_on had ended: cancelled.\n"
    runtime.invoke("forgets", {}).result(1)
    runtime.close()
    assert capsys.readouterr().out == "forgets returned before goes_on had ended: cancelled.\n"


def test_a_handler_that_exits_has_failed_and_its_thread_serves_on(runtime: Runtime) -> None:
    for _ in range(2):
        with pytest.raises(FunctionError, match="exits raised"):
            runtime.invoke("exits", {}).result(1)


def test_a_reply_that_takes_minutes_does_not_keep_the_process_from_ending() -> None:
    with unfinished() as process:
        assert process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nor_does_it_keep_a_gateway_from_ending(number: signal.Signals) -> None:
    with unfinished(str(TEMPLATE)) as process:
        assert process.stdout is not None
        client = HTTPConnection("127.0.0.1", int(process.stdout.readline()), timeout=10)
        client.request("GET", "/nowhere")
        assert client.getresponse().status == 404
        client.close()
        process.send_signal(number)
        process.wait(GOODBYE_SECONDS + 2)


@contextmanager
def unfinished(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", UNFINISHED, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()
