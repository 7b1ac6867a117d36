"""What all tests of the local gateway start from."""

from collections.abc import Iterator

import pytest

from tests.dev.sample import GATE


@pytest.fixture(autouse=True)
def open_gate() -> Iterator[None]:
    """Handlers that wait do so until their test lets them go on, or is over."""
    GATE.clear()
    yield
    GATE.set()
