"""Plays API Gateway and Lambda on one local port: the template's APIs, and the docs beside them."""

import argparse
import asyncio
import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from dev import docs, http_api, sockets
from dev.connections_api import ConnectionsApi
from dev.event_sources import EventSources
from dev.http_api import HttpApi
from dev.output import NonBlocking
from dev.protocols import HttpProtocol, WebSocketProtocol
from dev.runtime import Runtime
from dev.sam import TEMPLATE, Template
from dev.trouble import told
from dev.websocket_api import WebSocketApi

# Enough for a reply under way; a model call that is still running is cut, as by a deploy.
GOODBYE_SECONDS = 3


class AnyPath(PathConvertor):
    """Starlette's own kind of path ends at a line's end; an encoded one is as good as any other sign."""

    regex = "(?s:.*)"


register_url_convertor("any", AnyPath())


def application(
    template: Template,
    runtime: Runtime,
    limits: http_api.Limits = http_api.QUOTAS,
    websocket_limits: sockets.Limits = sockets.QUOTAS,
    *,
    disconnect_after: float | None = 0,
) -> Starlette:
    """Everything that answers on the port."""
    websocket_api = WebSocketApi(template, runtime, websocket_limits, disconnect_after=disconnect_after)
    routes: list[BaseRoute] = [*docs.routes(runtime), WebSocketRoute("/{path:any}", websocket_api)]
    if stage := template.websocket_api.stage:
        routes.append(Mount(f"/{stage}", ConnectionsApi(websocket_api, websocket_limits)))
    return Starlette(routes=[*routes, Route("/{path:any}", HttpApi(template, runtime, limits))])


class Server(uvicorn.Server):
    """uvicorn, and the queues and schedules that are worked off for as long as it serves."""

    def __init__(self, config: uvicorn.Config, sources: EventSources) -> None:
        super().__init__(config)
        self._sources = sources

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sources.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._sources.stop()
        await super().shutdown(sockets)
        await asyncio.to_thread(self._sources.close)


def server(app: Starlette, sources: EventSources) -> Server:
    config = uvicorn.Config(
        app,
        lifespan="off",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        # API Gateway neither compresses frames nor pings of its own accord.
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        # A gateway knows the address of its peer; what a header says about it, anybody can write.
        proxy_headers=False,
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    return Server(config, sources)


def main() -> None:
    """Serve on a listening socket that the caller keeps open over our restarts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's file descriptor")
    listening = socket.socket(fileno=parser.parse_args().fd)
    # Before the handlers are imported: their logger writes to what it finds here.
    sys.stdout = NonBlocking(sys.stdout)
    with told():
        # The template's CORS is for the origins that the functions are told of, too.
        template = Template(
            TEMPLATE,
            # And a machine of one's own need not share its database with the other functions.
            parameters={"AllowedOrigins": os.environ.get("ALLOWED_ORIGINS", ""), "Size": "medium"},
            endpoint=os.environ.get("AWS_ENDPOINT_URL", ""),
        )
        runtime = Runtime(template.functions)
        runtime.load()
        print(f"Ready: http://localhost:{listening.getsockname()[1]} and its /docs", flush=True)
        server(application(template, runtime), EventSources(template, runtime)).run(sockets=[listening])


if __name__ == "__main__":
    main()
