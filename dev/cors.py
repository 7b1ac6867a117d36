"""CORS as an HTTP API answers it: by itself, from the template, whatever the handlers say.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from starlette.requests import Request

from dev.sam import Cors


class CorsPolicy:
    """The headers of preflight and other answers, for the origins that the template allows."""

    def __init__(self, settings: Cors) -> None:
        self._settings = settings

    def is_preflight(self, request: Request) -> bool:
        asks = request.method == "OPTIONS" and "access-control-request-method" in request.headers
        return asks and "origin" in request.headers and bool(self._settings.origins)

    def preflight(self, origin: str) -> dict[str, str]:
        if not self._allows(origin):
            return {}
        return {
            "access-control-allow-methods": ",".join(self._settings.methods),
            "access-control-allow-headers": ",".join(self._settings.headers),
            "access-control-max-age": str(self._settings.max_age),
        }

    def headers(self, origin: str | None) -> dict[str, str]:
        """What every answer to this origin carries; nothing for an origin that is not allowed."""
        if origin is None or not self._allows(origin):
            return {}
        headers = {"access-control-allow-origin": origin}
        if self._settings.credentials:
            headers["access-control-allow-credentials"] = "true"
        if self._settings.expose:
            headers["access-control-expose-headers"] = ",".join(self._settings.expose)
        return headers

    def overrule(self, headers: dict[str, str]) -> dict[str, str]:
        """A handler's headers without its own CORS: once the API has a policy, that is ignored."""
        if not self._settings.origins:
            return headers
        return {name: value for name, value in headers.items() if not name.startswith("access-control-")}

    def _allows(self, origin: str) -> bool:
        return origin in self._settings.origins
