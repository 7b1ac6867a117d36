"""The logger, metrics and tracer that every function shares."""

from __future__ import annotations

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
