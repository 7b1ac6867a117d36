"""What a streamed reply costs in AWS, computed from the template and the list prices of us-east-1."""

from dev.prices import PRICES
from dev.sam import TEMPLATE, Template

REPLIES = 1_000
TOKENS, TOKENS_PER_SECOND = 500, 50
SHOW_SECONDS = 0.1
"""A frame of words for each, as `ai.draft` joins them."""
OVERHEAD_SECONDS = {"ReplyFunction": 0.2, "WsFunction": 0.1}


def costs() -> dict[str, float]:
    """Dollars for a thousand replies, by item; the model and the database are not among them."""
    seconds = TOKENS / TOKENS_PER_SECOND
    functions = Template(TEMPLATE).functions
    return {
        # The question in; accepted, the words and the end out.
        "WebSocket messages": _cost("WebSocket message", 1 + 1 + seconds / SHOW_SECONDS + 1),
        "Lambda, writing": _lambda(functions["ReplyFunction"].memory, seconds, "ReplyFunction"),
        "Lambda, frames": _lambda(functions["WsFunction"].memory, 0, "WsFunction"),
        "Lambda requests": _cost("Lambda request", 2),
        # Sent, received, held at the start and every ten seconds, deleted.
        "SQS FIFO requests": _cost("SQS FIFO request", 3 + 1 + seconds // 10),
        # One consistent read by key; half a unit each time somebody looks who is there.
        "DynamoDB reads": _cost("DynamoDB read", 1 + 0.5 * (seconds + 3)),
        "CloudWatch logs": _cost("log GB", 4 * 1024 / 1e9),
    }


def print_costs() -> None:
    found = costs()
    print(f"AWS, computed: {REPLIES:,} replies of {TOKENS} tokens at {TOKENS_PER_SECOND} tokens/s")
    for item, dollars in found.items():
        print(f"  {item:20} ${dollars:8.4f}")
    print(f"  {'together':20} ${sum(found.values()):8.4f}")


def _cost(item: str, number: float) -> float:
    return REPLIES * number * PRICES[item]


def _lambda(megabytes: int, seconds: float, function: str) -> float:
    return _cost("Lambda GB-second", (seconds + OVERHEAD_SECONDS[function]) * megabytes / 1024)
