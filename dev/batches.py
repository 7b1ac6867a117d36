"""What became of a batch of messages: which of them the queue may forget.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from collections.abc import Collection
from typing import Any


def failures(answer: Any, ids: Collection[str]) -> set[str]:
    """The ids that a function reports as not done; all, if it names one it never got or makes no sense."""
    reported = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    try:
        named = {str(item["itemIdentifier"]) for item in reported or []}
    except (KeyError, TypeError):
        return set(ids)
    return named if named <= set(ids) else set(ids)
