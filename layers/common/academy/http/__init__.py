"""Router to Lambda handler: the one place where FastAPI, Mangum and Powertools meet."""

from academy.http.dependencies import LET_GO, Address, CurrentLogin, CurrentUser, OptionalUser, SessionDep
from academy.http.handler import LambdaHandler, lambda_handler
from academy.http.idempotency import Repetition
from academy.http.pagination import PaginatorDep
from academy.http.routing import Router

__all__ = [
    "LET_GO",
    "Address",
    "CurrentLogin",
    "CurrentUser",
    "LambdaHandler",
    "OptionalUser",
    "PaginatorDep",
    "Repetition",
    "Router",
    "SessionDep",
    "lambda_handler",
]
