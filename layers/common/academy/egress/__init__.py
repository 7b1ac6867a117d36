"""The one door to the outside: which URLs may be called, and for how long.

`academy.egress.dialer` opens the connections; it is imported where a call is made, because it is the
only module that loads an HTTP client.
"""

from academy.egress.deadline import Attend, Deadline
from academy.egress.urls import UnsafeUrl, check_url, origin

__all__ = ["Attend", "Deadline", "UnsafeUrl", "check_url", "origin"]
