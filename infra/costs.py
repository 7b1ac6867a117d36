"""What the platform costs a month at three sizes, from the template's parameters and a table of prices.

Writes the tables of docs/costs.md, between its marks, and the plot beside it. Usage: costs.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev.prices import PRICES
from dev.sam import TEMPLATE, Template

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- made by `make costs` -->", "<!-- end -->"
DAYS, HOURS = 30, 730

# A learner's day, assumed: ten turns in a chat over half an hour, and what a browser asks for around that.
REQUESTS, AUTH_REQUESTS, MODEL_REQUESTS, TURNS, MINUTES = 40, 3, 3, 10, 30
REQUEST_SECONDS, MODEL_SECONDS, FRAME_SECONDS = 0.05, 8, 0.03
# A frame for every 100 ms of a reply, then its end; and the question, its acceptance, a ping now and then.
MESSAGES_PER_TURN = MODEL_SECONDS * 10 + 4
PROMPT_TOKENS, COMPLETION_TOKENS = 3_000, 400
LOG_BYTES_PER_EVENT, BYTES_TO_MODEL = 1_500, 16_000
STORED_BYTES_PER_TURN, KEPT_MONTHS = 4_000, 12
# Lambda asks an empty queue all the time: five at once, each for 20 seconds.
IDLE_POLLS = 5 * 3 * 60 * 24 * DAYS
SECRETS, PROXY_VCPUS = 3, 2
# The busiest hour's share of a day.
PEAK_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Case:
    """So many learners a day, and the parameters chosen for them."""

    learners: int
    size: str
    multi_az: bool = False
    proxy: bool = False

    @property
    def template(self) -> Template:
        return Template(TEMPLATE, parameters={"Size": self.size})

    @property
    def database(self) -> str:
        return str(self.template.section("Mappings")["Sizes"][self.size]["Database"])

    @property
    def turns(self) -> int:
        return self.learners * TURNS * DAYS

    @property
    def requests(self) -> int:
        return self.learners * REQUESTS * DAYS

    @property
    def model_calls(self) -> int:
        return self.turns + self.learners * MODEL_REQUESTS * DAYS

    @property
    def stored_gb(self) -> float:
        return max(20.0, self.turns * STORED_BYTES_PER_TURN * KEPT_MONTHS / 1e9)


CASES = (Case(10, "small"), Case(1_000, "small"), Case(100_000, "large", multi_az=True, proxy=True))


def functions(case: Case) -> float:
    gigabytes = case.template.functions["ReplyFunction"].memory / 1024
    frames = case.learners * DAYS * (TURNS + MINUTES / 5 + 2)
    seconds = case.requests * REQUEST_SECONDS + case.model_calls * MODEL_SECONDS + frames * FRAME_SECONDS
    calls = case.requests + case.model_calls + frames + 60 * 24 * DAYS
    return seconds * gigabytes * PRICES["Lambda GB-second"] + calls * PRICES["Lambda request"]


def gateways(case: Case) -> float:
    messages = case.turns * MESSAGES_PER_TURN
    minutes = case.learners * DAYS * MINUTES
    return (
        case.requests * PRICES["HTTP API request"]
        + messages * PRICES["WebSocket message"]
        + minutes * PRICES["WebSocket minute"]
    )


def database(case: Case) -> float:
    one = PRICES[f"{case.database} hour"] * HOURS + case.stored_gb * PRICES["database GB-month"]
    proxy = PRICES["proxy vCPU-hour"] * PROXY_VCPUS * HOURS if case.proxy else 0
    return one * (2 if case.multi_az else 1) + proxy


def network(case: Case) -> float:
    return PRICES["NAT hour"] * HOURS + case.model_calls * BYTES_TO_MODEL / 1e9 * PRICES["NAT GB"]


def queue_and_connections(case: Case) -> float:
    queue = (IDLE_POLLS + case.turns * 4) * PRICES["SQS FIFO request"]
    # A row and its two indexes, written and deleted; read at every frame and at every push of a reply.
    rows = case.learners * DAYS * (6 * PRICES["DynamoDB write"] + TURNS * 12 * PRICES["DynamoDB read"])
    return queue + rows


def watching(case: Case) -> float:
    events = case.requests + case.model_calls + case.learners * DAYS * TURNS
    alarms = len(case.template.named("AWS::CloudWatch::Alarm"))
    return (
        events * LOG_BYTES_PER_EVENT / 1e9 * PRICES["log GB"]
        # X-Ray takes one request a second, and a twentieth of the others.
        + events * 0.05 * PRICES["trace"]
        + alarms * PRICES["alarm"]
        + SECRETS * PRICES["secret"]
        + len(case.template.named("AWS::KMS::Key")) * PRICES["key"]
    )


def model(case: Case) -> float:
    tokens = PROMPT_TOKENS * PRICES["prompt token"] + COMPLETION_TOKENS * PRICES["completion token"]
    return case.model_calls * tokens


ITEMS: dict[str, Callable[[Case], float]] = {
    "Database": database,
    "Network": network,
    "Functions": functions,
    "API Gateway": gateways,
    "Queue and connections": queue_and_connections,
    "Logs, traces, alarms, secrets": watching,
    "Model (gpt-5-mini)": model,
}


def bill(case: Case) -> dict[str, float]:
    """Dollars a month by item."""
    return {name: item(case) for name, item in ITEMS.items()}


def load(case: Case) -> dict[str, tuple[float, float]]:
    """What the busiest hour wants of each limit, and the limit."""
    limits = case.template.section("Mappings")["Sizes"][case.size]
    a_second = case.learners * PEAK_SHARE / 3600
    return {
        "`Replies`: replies at once": (a_second * TURNS * MODEL_SECONDS, limits["Replies"]),
        "`Ai`: answers in line at once": (a_second * MODEL_REQUESTS * MODEL_SECONDS, limits["Ai"]),
        "`Rate`: requests a second": (a_second * REQUESTS, limits["Rate"]),
        "`AuthRate`: of them to /api/auth": (a_second * AUTH_REQUESTS, limits["AuthRate"]),
        "`FrameRate`: frames a second": (a_second * (TURNS + MINUTES / 5), limits["FrameRate"]),
        "`Ws`: frames at once": (a_second * (TURNS + MINUTES / 5) * FRAME_SECONDS, limits["Ws"]),
    }


def tables() -> str:
    return "\n\n".join((_costs(), _loads()))


def _costs() -> str:
    bills = [bill(case) for case in CASES]
    rows = [["$ a month", *(f"{case.learners:,} a day" for case in CASES)]]
    rows.append(["parameters", *(_parameters(case) for case in CASES)])
    rows += [[name, *(f"{found[name]:,.2f}" for found in bills)] for name in ITEMS]
    rows.append(["**All**", *(f"**{sum(found.values()):,.2f}**" for found in bills)])
    without = [sum(found.values()) - found["Model (gpt-5-mini)"] for found in bills]
    rows.append(["All but the model", *(f"{found:,.2f}" for found in without)])
    pairs = list(zip(CASES, without, strict=True))
    rows.append(["…, for each daily learner", *(f"{found / case.learners:.4f}" for case, found in pairs)])
    rows.append(["…, for 1,000 chat turns", *(f"{found / case.turns * 1000:.3f}" for case, found in pairs)])
    return _table(rows)


def _loads() -> str:
    loads = [load(case) for case in CASES]
    rows = [["busiest hour: wanted / limit", *(f"{case.learners:,} a day" for case in CASES)]]
    for name in loads[0]:
        rows.append([name, *(f"{found[name][0]:,.1f} / {found[name][1]:,}" for found in loads)])
    return _table(rows)


def _parameters(case: Case) -> str:
    extra = [name for name, chosen in (("MultiAz", case.multi_az), ("DatabaseProxy", case.proxy)) if chosen]
    return ", ".join([f"Size={case.size}", *extra])


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---", *("---:" for _ in head[1:])], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(file: Path) -> None:
    # Here, because only whoever writes the page needs it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "costs"
    figure = Figure(figsize=(8, 4.5), layout="tight")
    axes = figure.add_subplot()
    learners = [case.learners for case in CASES]
    for name, item in ITEMS.items():
        axes.plot(learners, [item(case) for case in CASES], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="learners a day", ylabel="$ a month")
    axes.legend(fontsize="small")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    page = DOCS / "costs.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{after}", encoding="utf-8")
    plot(DOCS / "costs.svg")


if __name__ == "__main__":
    main()
