"""What is printed while nobody reads it is dropped; what is read arrives whole."""

import os
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from dev.output import NonBlocking


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w") as stream:
        yield reader, stream


def test_F22_who_prints_waits_for_no_reader(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    output = NonBlocking(stream)
    for _ in range(2_000):
        print("x" * 100, file=output, flush=True)  # three times what a pipe holds
    os.set_blocking(reader, False)
    with suppress(BlockingIOError):
        while os.read(reader, 65_536):
            pass
    print("Привет", file=output)
    assert os.read(reader, 65_536).decode() == "Привет\n"


@pytest.mark.skipif(
    sys.platform != "linux", reason="poll() knows no terminals on macOS: they are waited for there"
)
def test_F22_who_prints_to_a_paused_terminal_waits_no_longer() -> None:
    reader, writer = os.openpty()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w") as stream:
        output = NonBlocking(stream)
        termios.tcflow(writer, termios.TCOOFF)
        for _ in range(2_000):
            print("x" * 100, file=output)
        termios.tcflow(writer, termios.TCOON)
        print("on", file=output)
        assert os.read(reader, 100) == b"on\r\n"


def test_what_is_read_arrives_whole(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    text = "слово " * 100_000
    thread = threading.Thread(target=print, args=[text], kwargs={"file": NonBlocking(stream), "end": ""})
    thread.start()
    read = b""
    while len(read) < len(text.encode()):
        read += os.read(reader, 65_536)
    thread.join()
    assert read.decode() == text
