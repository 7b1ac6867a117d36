"""Failures that the person at the terminal can mend: told in one sentence, without a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # what a shell makes of a program that Ctrl-C has ended


class Trouble(Exception):
    """The message is the sentence: what is wrong, and what to check or do."""


@contextmanager
def told() -> Iterator[None]:
    """Turn a `Trouble` into its sentence on standard error and exit code 1, Ctrl-C into a quiet end."""
    try:
        yield
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
