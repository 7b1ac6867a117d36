"""What tests use for secrets: recognisable wherever they turn up."""

from tests.factories import PASSWORD

SECRET = "only for tests: " + "0123456789abcdef" * 2
PLATFORM_KEY = "platform-key"
API_KEY = "sk-canary-of-a-person"

ALWAYS = frozenset({SECRET, PASSWORD, PLATFORM_KEY, API_KEY, "You said: ", "Scripted ", "Слово "})
"""Also what the scripted model says by itself, and what is said in a made course."""
