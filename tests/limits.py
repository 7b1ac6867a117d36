"""How often somebody did something, for scenarios that do it more often."""

from sqlalchemy import delete

from academy.models import Throttle
from tests.roles import looking


def forget_counts() -> None:
    """Let everybody begin anew, as if their minute or hour was over."""
    with looking() as session:
        session.execute(delete(Throttle))
