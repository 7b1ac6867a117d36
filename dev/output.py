"""Standard output that holds nobody up: what its reader does not take in time is dropped."""

import io
import os
import select
import threading
from typing import TextIO

PATIENCE_MS = 100
# So much fits into a pipe that can be written to at all.
AT_ONCE = select.PIPE_BUF


class NonBlocking(io.TextIOBase):
    """Writes to a stream's file while somebody reads it; when nobody does, waits once, not at every line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream  # whose file is closed with the last that holds it
        self._file = stream.fileno()
        self._writable = select.poll()
        self._writable.register(self._file, select.POLLOUT)
        self._lock = threading.Lock()
        self._is_stuck = False

    def write(self, text: str) -> int:
        left = text.encode(errors="replace")
        with self._lock:
            while left:
                self._is_stuck = not self._writable.poll(0 if self._is_stuck else PATIENCE_MS)
                if self._is_stuck:
                    break
                left = left[os.write(self._file, left[:AT_ONCE]) :]
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return os.isatty(self._file)
