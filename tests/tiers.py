"""How much of a long scenario is run, and the line of figures that each prints.

`make prove` runs what we claim; `make prove-short` (PROVE=short) what CI has minutes for: the same scenarios
with smaller counts, without those that mean nothing when they are short.
"""

import os
from typing import Any, TypeVar

import pytest

Size = TypeVar("Size")

TIERS = ("full", "short")
TIER = os.environ.get("PROVE", "full")
if TIER not in TIERS:
    raise ValueError(f"PROVE is one of {', '.join(TIERS)}, not {TIER!r}")

only_in_full = pytest.mark.skipif(TIER != "full", reason="takes minutes however small: `make prove` runs it")
"""For scenarios that are no shorter for being smaller."""


def sized(*, full: Size, short: Size) -> Size:
    """A count or a duration of the tier that is run."""
    return full if TIER == "full" else short


def report(scenario: str, **figures: Any) -> None:
    """Print what was measured, in one line."""
    told = ", ".join(f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items())
    print(f"\n{scenario} [{TIER}]: {told}", flush=True)  # noqa: T201 - the figures are what this is run for
