"""How much of a long scenario is run, and the line of figures that each prints.

`make prove` runs what we claim; `make prove-short` (PROVE=short) what CI has minutes for: the same scenarios
with smaller counts, without those that mean nothing when they are short.
"""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

import pytest

Size = TypeVar("Size")

FIGURES = "PROVE_FIGURES"
"""The file that all processes of a run write their figures into."""

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
    """Tell what was measured, in one line at the end of the run."""
    told = ", ".join(f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items())
    with Path(os.environ[FIGURES]).open("a") as file:
        file.write(f"{scenario} [{TIER}]: {told}\n")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        file = NamedTemporaryFile(prefix="figures-")  # noqa: SIM115 - it lasts as long as the run
        config.add_cleanup(file.close)
        os.environ[FIGURES] = file.name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if told := Path(os.environ[FIGURES]).read_text():
        terminalreporter.section("figures")
        terminalreporter.write(told)
