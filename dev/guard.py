"""Runs one program that must not outlive its starter: when standard input ends, the program is stopped.

A starter that is killed cannot clean up, but the kernel closes its pipes. The guard lives in a session
of its own, so a terminal's Ctrl-C reaches the starter alone and the program is stopped in good order.
Usage: guard.py SIGNAL SECONDS USER COMMAND…, where SIGNAL asks the program to stop, SECONDS is how long
it may take, and USER is the numeric user to run it as or "-".
"""

import os
import select
import signal
import subprocess
import sys
from typing import Any

IMPATIENT = (signal.SIGQUIT, signal.SIGKILL)
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def guarded(
    command: list[str],
    *,
    polite: str = "SIGTERM",
    seconds: float = 5,
    user: int | None = None,
    **options: Any,
) -> "subprocess.Popen[bytes]":
    """Start `command` under a guard; `options` are those of `subprocess.Popen`."""
    identity = "-" if user is None else str(user)
    return subprocess.Popen(
        [sys.executable, "-I", __file__, polite, str(seconds), identity, *command],
        stdin=subprocess.PIPE,
        start_new_session=True,
        **options,
    )


def let_go(process: "subprocess.Popen[bytes]") -> None:
    """Have a guarded program stopped, and wait for that."""
    if process.stdin:
        process.stdin.close()
    process.wait()


def main() -> int:
    name, seconds, user, *command = sys.argv[1:]
    signals = _signals_as_bytes()
    child = _start(command, int(user) if user != "-" else None)
    while child.poll() is None:
        readable, _, _ = select.select([0, signals], [], [])
        # Nobody writes to standard input: readable means that it has ended.
        if 0 in readable or any(number in ENDINGS for number in os.read(signals, 64)):
            break
    return _end(child, signal.Signals[name], float(seconds))


def _signals_as_bytes() -> int:
    """A descriptor that yields the number of every signal that arrives, among them a child's end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, *ENDINGS):
        signal.signal(number, lambda *_: None)
    return reader


def _start(command: list[str], user: int | None) -> "subprocess.Popen[bytes]":
    # Whatever the starter handed over (a lock) is the program's too, so that it is held as long as it runs.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        close_fds=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def _end(child: "subprocess.Popen[bytes]", polite: signal.Signals, seconds: float) -> int:
    for number in (polite, *IMPATIENT):
        if child.poll() is None:
            child.send_signal(number)
        try:
            return child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
    return 1


if __name__ == "__main__":
    sys.exit(main())
