"""Nothing that was started outlives its starter, and a polite end comes before a rough one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from dev.guard import guarded, let_go
from dev.local import is_held

POLITE = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
print("up")
time.sleep(60)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up")
time.sleep(60)
"""
# Holds a lock that its program inherits, then dies without a chance to clean up.
STARTER = """
import fcntl, os, signal, sys
from dev.guard import guarded
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
guarded(["sleep", "60"], pass_fds=[lock])
print("started", flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def started(program: str, **options: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-u", "-c", program]
    process = guarded(command, stdout=subprocess.PIPE, **options)  # type: ignore[arg-type]  # Popen's own
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"up\n"
    return process


def test_a_program_is_asked_to_stop_with_its_own_signal() -> None:
    process = started(POLITE, polite="SIGINT")
    let_go(process)
    assert process.returncode == 7


def test_a_program_that_does_not_listen_is_made_to_stop() -> None:
    process = started(DEAF, seconds=0.2)
    let_go(process)
    assert process.returncode != 0


def test_a_program_that_ends_by_itself_hands_on_its_exit_code() -> None:
    process = guarded([sys.executable, "-c", "raise SystemExit(3)"])
    assert process.wait() == 3
    let_go(process)


def test_a_terminals_ctrl_c_does_not_reach_the_program() -> None:
    process = started(POLITE)
    assert os.getsid(process.pid) == process.pid
    assert os.getsid(0) != process.pid
    process.send_signal(signal.SIGHUP)
    let_go(process)


def test_a_killed_starter_takes_its_program_along(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    starter = subprocess.run(
        [sys.executable, "-c", STARTER, lock, "killed"],
        capture_output=True,
        env=dict(os.environ, PYTHONPATH=":".join(sys.path)),
        check=False,
    )
    assert (starter.returncode, starter.stdout) == (-signal.SIGKILL, b"started\n")
    # Its output ends when the last holder of the pipe is gone, which is the program itself.
    assert not is_held(lock)
