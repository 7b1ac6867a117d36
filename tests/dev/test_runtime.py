"""Functions are called as Lambda calls them: apart from each other, and with nothing left running behind."""

import os
import subprocess
import sys
import time

import pytest

from dev.runtime import FunctionError, Runtime
from dev.sam import Function

NAMES = ("echo", "slow", "forgets", "exits")
UNFINISHED = """
import sys, threading, time
from dev.runtime import Runtime
from dev.sam import Function
sys.modules["handlers"] = handlers = type(sys)("handlers")
begun = threading.Event()
handlers.replies = lambda event, context: (begun.set(), time.sleep(600))
runtime = Runtime({"Replies": Function("Replies", "handlers.replies", 900, 128, {})})
runtime.load()
runtime.invoke("Replies", {})
begun.wait()
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
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run([sys.executable, "-c", UNFINISHED], env=environment, timeout=20)
    assert done.returncode == 0
