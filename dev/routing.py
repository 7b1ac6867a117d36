"""Which route of an HTTP API serves a request: the most specific one, in API Gateway's order.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dev.sam import DEFAULT_ROUTE, Route

STATIC, VARIABLE, GREEDY, NOTHING = range(4)


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    parameters: dict[str, str]


class Router:
    """Routes sorted once, so that the first that fits is the one API Gateway takes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = sorted(((_pattern(route), route) for route in routes), key=lambda pair: _rank(pair[1]))

    def match(self, method: str, path: str) -> Match | None:
        """The route for a method and a decoded path, or None: API Gateway then says "Not Found"."""
        for pattern, route in self._routes:
            if found := pattern.fullmatch(f"{method} {path}"):
                return Match(route, found.groupdict())
        return None


def _pattern(route: Route) -> re.Pattern[str]:
    if route.key == DEFAULT_ROUTE:
        return re.compile(r".*", re.DOTALL)
    method, _, path = route.key.partition(" ")
    segments = [_segment(segment) for segment in path.split("/")]
    return re.compile(f"{r'[A-Z]+' if method == 'ANY' else method} {'/'.join(segments)}", re.DOTALL)


def _segment(segment: str) -> str:
    match _kind(segment):
        case 2:
            return f"(?P<{segment[1:-2]}>.+)"
        case 1:
            return f"(?P<{segment[1:-1]}>[^/]+)"
    return re.escape(segment)


def _kind(segment: str) -> int:
    if segment.endswith("+}"):
        return GREEDY
    return VARIABLE if segment.startswith("{") else STATIC


def _rank(route: Route) -> tuple[list[int], bool]:
    method, _, path = route.key.partition(" ")
    if route.key == DEFAULT_ROUTE:
        return [NOTHING], True
    return [_kind(segment) for segment in path.split("/")], method == "ANY"
