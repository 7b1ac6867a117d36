"""How long a call may take in all, however often the other side sends a byte."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Deadline:
    """A moment on the wall clock that all steps of one call share."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self._end - self._clock()
