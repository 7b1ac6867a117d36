"""The API described: `/docs` for people, `/openapi.json` for programs, neither from the internet."""

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from dev.openapi import merged
from dev.runtime import Runtime

ASSETS = "/docs/assets"


def routes(runtime: Runtime) -> list[BaseRoute]:
    async def document(_: Request) -> Response:
        return JSONResponse(merged(runtime.handlers.values()))

    return [
        Route("/", _to_docs),
        Route("/docs", _page),
        Route("/openapi.json", document),
        # The package is only the carrier: it ships Swagger UI's own files, complete and current.
        Mount(ASSETS, StaticFiles(packages=[("flask_swagger_ui", "dist")])),
    ]


async def _to_docs(_: Request) -> Response:
    return RedirectResponse("/docs")


async def _page(_: Request) -> Response:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="AI Learning Platform",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
    )
