"""What functions lean on: the database, DynamoDB and SQS, and the offline tutor.

`make dev` starts them for its gateway, `make services` alone and where containers reach them. All of them end
with whoever started them.
"""

import ipaddress
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dev import aws, database, environment, handover
from dev.guard import guarded, let_go
from dev.local import LOOPBACK, ROOT, STACK, only_one
from dev.sam import TEMPLATE, Template
from dev.trouble import Trouble

ALREADY = "The local stack already runs in this checkout: use that one, or end it with `make stop-all`."
# What somebody needs who starts containers without us.
SHOWN = (
    "DATABASE_URL",
    "AWS_ENDPOINT_URL",
    "REPLY_QUEUE_URL",
    "CONNECTIONS_TABLE",
    "KEY_ENCRYPTION_KEY_ARN",
    "DEFAULT_OPENAI_BASE_URL",
    "DEFAULT_OPENAI_MODEL",
)


@dataclass(frozen=True, slots=True)
class Services:
    """The settings that lead to them, AWS's endpoint among them, and `places` for people to read."""

    settings: dict[str, str]
    endpoint: str
    places: dict[str, str]


def run() -> None:
    """Hold them up, where containers reach them, until somebody interrupts us."""
    env = environment.load()
    port, address = environment.port(env), listening_address(env)
    with only_one(STACK, ALREADY), running(environment.with_defaults(env, port), address) as services:
        template = Template(TEMPLATE, endpoint=services.endpoint)
        aws.create_missing(template)
        announce("The services of the AI Learning Platform", services.places)
        known = for_containers(template, services, port, address)
        print("Settings for containers:")
        for name in SHOWN:
            print(f"  {name}={known.get(name, '')}")
        print("Ctrl-C ends all of it.", flush=True)
        while True:
            time.sleep(3600)


@contextmanager
def running(settings: Mapping[str, str], address: str = LOOPBACK) -> Iterator[Services]:
    """The services, listening on `address`, for as long as the block lasts."""
    with ExitStack() as resources:
        completed = dict(settings)
        stored = resources.enter_context(database.ready(completed, address))
        completed["DATABASE_URL"] = stored.url
        if stored.sweeper_url:
            completed["SWEEPER_DATABASE_URL"] = stored.sweeper_url
        endpoint = resources.enter_context(aws.running(address))
        model = with_tutor(completed, resources, address)
        environment.checked(completed)
        places = {
            "Database": stored.place,
            "AWS": f"DynamoDB and SQS at {endpoint}, forgotten at the end",
            "Tutor": model,
        }
        yield Services(completed, endpoint, places)


def listening_address(env: Mapping[str, str]) -> str:
    """Where the services listen: on this machine alone, unless SERVICES_ADDRESS names a bridge's address."""
    given = env.get("SERVICES_ADDRESS", LOOPBACK)
    try:
        # Not all addresses at once: nothing here asks who is calling.
        usable = not ipaddress.IPv4Address(given).is_unspecified
        free_port(given)
    except (ValueError, OSError):
        usable = False
    if not usable:
        raise Trouble(
            f"SERVICES_ADDRESS has to be one IPv4 address of this machine, such as 172.17.0.1, not {given!r}."
        )
    return given


def listen_on(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise Trouble(
            f"Port {port} cannot be used ({error.strerror}): "
            "end the program that uses it, or choose another port, such as PORT=8001."
        ) from None
    return listening


def with_tutor(settings: dict[str, str], resources: ExitStack, address: str = LOOPBACK) -> str:
    """Start the offline tutor unless the settings name a model; a sentence for the banner."""
    if "DEFAULT_OPENAI_API_KEY" in settings or "DEFAULT_OPENAI_BASE_URL" in settings:
        configured = environment.checked(settings)
        return (
            f"{configured.default_openai_model} at {configured.default_openai_base_url or 'api.openai.com'}"
        )
    port = free_port(address)
    command = [sys.executable, "-m", "dev.tutor", "--address", address, "--port", str(port)]
    resources.callback(let_go, guarded(command, cwd=ROOT, env=settings))
    url = f"http://{address}:{port}/v1"
    settings |= {
        "DEFAULT_OPENAI_BASE_URL": url,
        "DEFAULT_OPENAI_API_KEY": "local-tutor",
        "DEFAULT_OPENAI_MODEL": "tutor-demo",
    }
    for budget in ("DAILY_TOKENS_PER_LEARNER", "DAILY_TOKENS_PER_GUEST", "DAILY_TOKENS_IN_ALL"):
        # Its tokens cost nothing: they are counted, and stop nobody.
        settings.setdefault(budget, "1000000000")
    return f"an offline demo at {url}; DEFAULT_OPENAI_API_KEY brings a real model"


def free_port(address: str = LOOPBACK) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def functions_environment(template: Template, settings: Mapping[str, str], port: int) -> dict[str, str]:
    """What the template gives the functions, over it the local settings, and an AWS that is not real."""
    declared = {
        k: v for function in template.functions.values() for k, v in function.environment.items() if v
    }
    local = {k: v for k, v in settings.items() if not k.startswith("AWS_")}
    stage = template.websocket_api.stage
    sockets = {"WEBSOCKET_MANAGEMENT_URL": f"http://{LOOPBACK}:{port}/{stage}"} if stage else {}
    return {**declared, **local, **sockets, **aws.environment(template.endpoint)}


def for_containers(template: Template, services: Services, port: int, address: str) -> dict[str, str]:
    """The same for containers, which have a key of KMS's instead of a file of this machine's."""
    key = {"KEY_ENCRYPTION_KEY_ARN": aws.create_key(services.endpoint)}
    known = functions_environment(template, {**services.settings, **key}, port)
    return handover.settings(known, address)


def announce(title: str, places: Mapping[str, str]) -> None:
    print(title)
    for name, place in places.items():
        print(f"  {name:<10}{place}")
