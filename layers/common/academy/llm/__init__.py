"""What the platform asks of a language model, in our own words, whoever serves it.

Speaks Chat Completions, because every OpenAI-compatible server does: OpenAI, Azure, OpenRouter,
Ollama, vLLM, llama.cpp. `academy.llm.wire` is the only file that imports openai, and does so when a
model is called, so that importing this package costs nothing.
"""

from academy.llm.conversation import complete, stream
from academy.llm.errors import (
    BadOutput,
    KeyRejected,
    ModelError,
    ModelNotConfigured,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from academy.llm.shapes import Answer, Message, Model, Usage, estimate_prompt, estimate_tokens
from academy.llm.structured import complete_into

__all__ = [
    "Answer",
    "BadOutput",
    "KeyRejected",
    "Message",
    "Model",
    "ModelError",
    "ModelNotConfigured",
    "ModelRateLimited",
    "ModelTimeout",
    "ModelUnavailable",
    "Usage",
    "complete",
    "complete_into",
    "estimate_prompt",
    "estimate_tokens",
    "stream",
]
