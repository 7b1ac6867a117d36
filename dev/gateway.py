"""Plays API Gateway on one local port: the template's HTTP API, and the docs beside it."""

import argparse
import os
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from dev import docs
from dev.http_api import QUOTAS, HttpApi, Limits
from dev.runtime import Runtime
from dev.sam import TEMPLATE, Template
from dev.trouble import told

# Enough for a reply under way; a model call that is still running is cut, as by a deploy.
GOODBYE_SECONDS = 3


def application(template: Template, runtime: Runtime, limits: Limits = QUOTAS) -> Starlette:
    """Everything that answers on the port."""
    return Starlette(routes=[*docs.routes(runtime), Mount("/", HttpApi(template, runtime, limits))])


def server(app: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        # A gateway knows the address of its peer; what a header says about it, anybody can write.
        proxy_headers=False,
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    return uvicorn.Server(config)


def main() -> None:
    """Serve on a listening socket that the caller keeps open over our restarts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's file descriptor")
    listening = socket.socket(fileno=parser.parse_args().fd)
    with told():
        # The template's CORS is for the origins that the functions are told of, too.
        template = Template(TEMPLATE, parameters={"AllowedOrigins": os.environ.get("ALLOWED_ORIGINS", "")})
        runtime = Runtime(template.functions)
        runtime.load()
        print(f"Ready: http://localhost:{listening.getsockname()[1]} and its /docs", flush=True)
        server(application(template, runtime)).run(sockets=[listening])


if __name__ == "__main__":
    main()
