"""What a cold start pays for: heavy packages are imported by those who use them, when they use them."""

import pytest

from dev.bench.imports import FUNCTIONS, measure

HEAVY = {"boto3", "openai", "argon2"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_importing_a_handler_imports_nothing_heavy(function: str) -> None:
    assert not HEAVY & set(measure(function)["modules"])
