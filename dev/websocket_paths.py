"""Paths for an API that has none: what a CloudFront function does before API Gateway sees a handshake.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
"""

import re
from urllib.parse import quote, unquote, unquote_plus

OURS = frozenset({"session_id", "channel"})


def query_for(path: str, query: str, stage: str) -> str | None:
    """The query that reaches the API for a raw path and query; None: API Gateway refuses that path."""
    if not stage:
        return None
    if path.rstrip("/") == f"/{stage}":
        return query
    found = re.fullmatch(rf"/{re.escape(stage)}/chat/([^/]+)(/switch)?/?", path)
    return _rewritten(query, found[1], "switch" if found[2] else "chat") if found else None


def _rewritten(query: str, segment: str, channel: str) -> str:
    # What the path says goes over what the query says, or one session could be had by another's path.
    others = [part for part in query.split("&") if part and _name(part) not in OURS]
    # In a path a plus is a plus, in a query it would be a blank.
    return "&".join([f"session_id={quote(unquote(segment), safe='')}", f"channel={channel}", *others])


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
