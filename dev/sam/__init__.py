"""Reads infra/template.yaml as CloudFormation would, so that routes, functions and tables are said once.

Only what the template uses is understood; anything else is refused by name, because guessing would make
the local stack differ from AWS.
"""

from dev.sam.declarations import (
    DEFAULT_ROUTE,
    Cors,
    Function,
    QueueSource,
    Route,
    Schedule,
    WebSocketApi,
    WebSocketRoute,
)
from dev.sam.document import ACCOUNT_ID, FUNCTION, LAYER, REGION, STACK, TemplateError, load
from dev.sam.template import TEMPLATE, Template

__all__ = [
    "ACCOUNT_ID",
    "DEFAULT_ROUTE",
    "FUNCTION",
    "LAYER",
    "REGION",
    "STACK",
    "TEMPLATE",
    "Cors",
    "Function",
    "QueueSource",
    "Route",
    "Schedule",
    "Template",
    "TemplateError",
    "WebSocketApi",
    "WebSocketRoute",
    "load",
]
