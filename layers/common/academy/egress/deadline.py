"""How long a call may take in all, however often the other side sends a byte."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
Attend = Callable[[], bool]
"""Called while a call waits for the other side; False ends the call."""

ATTEND_SECONDS = 0.05


class Deadline:
    """A moment on the wall clock that all steps of one call share."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic, attend: Attend | None = None) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self.attend = attend

    def left(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self._end - self._clock()
