"""What clients meant to do and what they were told of it, a line of JSON each, written before and after."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Self

Outcome = Literal["acked", "error", "unknown"]
"""Of an operation with all its tries: done, refused for good, or nobody can tell."""


@dataclass
class Operation:
    """Something that may have its effect once. `kind` says where the effect is looked for."""

    id: str
    kind: str
    outcome: Outcome = "unknown"


@dataclass
class Try:
    """One answer, or none (`status` 0), to an operation."""

    op: str
    at: float
    seconds: float
    status: int
    is_problem: bool


@dataclass
class Ledger:
    """Shared by all clients of a scenario; the file survives whoever writes it."""

    path: Path
    operations: dict[str, Operation] = field(default_factory=dict)
    tries: list[Try] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._file = self.path.open("a", buffering=1)
        self._lock = threading.Lock()

    def sent(self, op: str, kind: str) -> None:
        self.operations[op] = Operation(op, kind)
        self._write(op=op, kind=kind, event="sent")

    def ended(self, op: str, outcome: Outcome) -> None:
        self.operations[op].outcome = outcome
        self._write(op=op, event=outcome)

    def tried(self, op: str, started: float, status: int, *, is_problem: bool) -> None:
        """An answer came: `started` is on the monotonic clock."""
        now = monotonic()
        self.tries.append(Try(op, started, now - started, status, is_problem))
        self._write(op=op, event="answer", status=status, seconds=round(now - started, 3))

    def of(self, outcome: Outcome) -> set[str]:
        return {op.id for op in self.operations.values() if op.outcome == outcome}

    def statuses(self) -> Counter[int]:
        return Counter(one.status for one in self.tries)

    def slowest(self) -> float:
        return max((one.seconds for one in self.tries), default=0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, **line: Any) -> None:
        with self._lock:
            self._file.write(json.dumps({"at": round(monotonic(), 3), **line}) + "\n")
