"""The offline tutor: a small OpenAI-compatible server, so that every flow works without a key."""

from dev.tutor.server import serve, tutor

__all__ = ["serve", "tutor"]
