"""The logger, metrics and tracer that every function shares."""

from __future__ import annotations

import traceback
from functools import lru_cache
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer

logger = Logger()
metrics = Metrics()


@lru_cache(maxsize=1)
def tracer() -> Tracer:
    """Powertools' tracer. Importing it brings X-Ray's SDK and botocore along: 0.3 s."""
    from aws_lambda_powertools import Tracer

    return Tracer(auto_patch=False)


def log_unhandled(error: Exception) -> None:
    """Say where an error happened, without its message: that may quote what a person wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    logger.error("unhandled error", kind=type(error).__name__, frames=where)
