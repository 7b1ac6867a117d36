"""What a template declares, in our own words."""

from dataclasses import dataclass, field

DEFAULT_ROUTE = "$default"


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function: `handler` is `module.attribute`, `timeout` in seconds, `memory` in MB."""

    name: str
    handler: str
    timeout: int
    memory: int
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the HTTP API; `key` is what API Gateway calls it."""

    key: str
    function: str


@dataclass(frozen=True, slots=True)
class Cors:
    origins: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    expose: list[str] = field(default_factory=list)
    credentials: bool = False
    max_age: int = 0


@dataclass(frozen=True, slots=True)
class WebSocketRoute:
    """The function behind a route, and how many seconds API Gateway waits for it."""

    function: str
    seconds: float


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """A WebSocket API; `selection` is where in a frame's JSON its route stands. No stage means no API."""

    stage: str = ""
    selection: tuple[str, ...] = ()
    routes: dict[str, WebSocketRoute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueSource:
    """A queue that feeds a function; `partial`: the function tells which messages of a batch failed."""

    function: str
    arn: str
    url: str
    batch_size: int
    partial: bool
    concurrency: int | None

    @property
    def is_fifo(self) -> bool:
        return self.arn.endswith(".fifo")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A clock that calls a function; `scheduler`: of EventBridge Scheduler rather than a rule."""

    name: str
    function: str
    seconds: float
    scheduler: bool
