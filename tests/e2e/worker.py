"""The reply worker in a process of its own, which a test can kill without touching the sockets."""

import os
import sys

from dev.event_sources import EventSources
from dev.runtime import Runtime
from dev.sam import TEMPLATE, Template


def main() -> None:
    template = Template(TEMPLATE, endpoint=os.environ["AWS_ENDPOINT_URL"])
    runtime = Runtime(template.functions, threads=60)
    runtime.load()
    assert len(runtime.handlers) == len(template.functions)
    EventSources(template, runtime).start()
    # Until the test lets go of us, or is itself no more.
    sys.stdin.read()


if __name__ == "__main__":
    main()
