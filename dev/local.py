"""What one checkout keeps to itself in `.local/`: its data, its secrets and who is running."""

import fcntl
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from dev.trouble import Trouble

ROOT = Path(__file__).parents[1]
LOCAL = ROOT / ".local"
POSTGRES = LOCAL / "postgres"
STACK = LOCAL / "stack.pid"
DATABASE = LOCAL / "database.pid"
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_SECONDS = 30
LOOPBACK = "127.0.0.1"


def kept_secret(file: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """The secret in `file`, made on first use, for its owner's eyes only."""
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        unfinished = file.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(make())
        unfinished.rename(file)
    return file.read_text()


@contextmanager
def only_one(file: Path, refusal: str) -> Iterator[None]:
    """Be the only process that holds `file`, which tells our process id; else a `Trouble`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as opened:
        if not _lock(opened.fileno(), fcntl.LOCK_EX):
            raise Trouble(refusal)
        opened.truncate(0)
        opened.write(str(os.getpid()))
        opened.flush()
        yield


def is_held(file: Path) -> bool:
    """Whether a living process holds the lock on `file`: the kernel lets go of a dead one's."""
    try:
        with file.open() as opened:
            return not _lock(opened.fileno(), fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def stop(file: Path) -> bool:
    """End the process that holds `file`, and wait until it has; False if there was none."""
    if not is_held(file):
        return False
    with suppress(ProcessLookupError):
        os.kill(int(file.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while is_held(file):
        if time.monotonic() > deadline:
            raise Trouble(
                f"Process {file.read_text()} does not end: look at it with `ps`, then `kill -9` it."
            )
        time.sleep(0.1)
    return True


def interrupt_on_signals() -> None:
    """Make Ctrl-C, `kill` and the closing of the terminal one thing: a KeyboardInterrupt, once."""
    for number in ENDINGS:
        signal.signal(number, _interrupt)


def _interrupt(_: int, __: FrameType | None) -> None:
    # A second Ctrl-C would cut the clean-up short.
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
