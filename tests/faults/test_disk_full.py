"""The database's disk is full, or nobody reads our log. Run by `make prove`."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import psycopg
import pytest

from tests.faults.conftest import SEED, Scene, Setting
from tests.faults.crowds import guests
from tests.tiers import only_in_full, report

pytestmark = [pytest.mark.prove, only_in_full]

PEOPLE, SECONDS, FULL_SECONDS = 20, 90.0, 45.0


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[None]:
    """A disk of its own in memory, at that folder; only root can have one."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    done = subprocess.run(["mount", *options], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"0" * 65_536)
        except OSError:
            return ballast


def keep_up(it: Scene) -> None:
    """Be who starts a database again that gave up."""
    try:
        it.postgres.server.connect().close()
    except psycopg.OperationalError:
        it.postgres.start()


def test_F22_the_disk_is_full(scene: Setting, tmp_path: Path) -> None:
    async def press(it: Scene) -> tuple[int, float]:
        people = await guests(it, PEOPLE)
        until = monotonic() + SECONDS

        async def fail() -> float:
            await asyncio.sleep(15)
            ballast = await asyncio.to_thread(fill, tmp_path / "postgres")
            await asyncio.sleep(FULL_SECONDS)
            ballast.unlink()
            await asyncio.to_thread(keep_up, it)
            return monotonic()

        failing = asyncio.create_task(fail())
        await asyncio.gather(*(person.wander(until, 0.5) for person in people))
        freed = await failing
        good = [one.at + one.seconds for one in it.ledger.tries if one.status in {200, 201}]
        refused = sum(one.status == 503 for one in it.ledger.tries)
        return refused, min(at for at in good if at > freed) - freed

    sparing = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
    with small_disk(tmp_path / "postgres", 140), scene(postgres=sparing) as it:
        refused, healed = asyncio.run(press(it))
        figures = it.checked()
    report(
        "F22",
        fault="disk full",
        seed=SEED,
        people=PEOPLE,
        duration=f"{SECONDS:g} s, {FULL_SECONDS:g} s of it full",
        refused=refused,
        healed_after=f"{healed:.1f} s",
        **figures,
    )
    assert refused > 0


def test_F22_nobody_reads_the_log(scene: Setting) -> None:
    reader, writer = os.pipe()
    reading = threading.Event()
    reading.set()

    def read() -> None:
        while reading.wait() and os.read(reader, 65_536):
            pass

    async def press(it: Scene) -> int:
        people = await guests(it, PEOPLE)
        until = monotonic() + 60

        async def block() -> int:
            await asyncio.sleep(10)
            reading.clear()
            before = len(it.ledger.tries)
            await asyncio.sleep(30)
            answered = len(it.ledger.tries) - before
            reading.set()
            return answered

        blocking = asyncio.create_task(block())
        await asyncio.gather(*(person.wander(until, 0.5) for person in people))
        return await blocking

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        with scene(log=writer, LOG_LEVEL="INFO") as it:
            answered = asyncio.run(press(it))
            figures = it.checked()
    finally:
        reading.set()
        os.close(writer)
        thread.join()
        os.close(reader)
    report(
        "F22",
        fault="log not read for 30 s",
        seed=SEED,
        people=PEOPLE,
        duration="60 s",
        answered_meanwhile=answered,
        **figures,
    )
