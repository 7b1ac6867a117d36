"""The JSON of Chat Completions, as a server writes it: whole, or in chunks."""

import json
from typing import Any

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"


def completion(model: str, text: str, usage: Json, finish: str = "stop") -> Json:
    message = {"role": "assistant", "content": text, "refusal": None}
    return _envelope(model, "chat.completion", {"message": message}, finish) | {"usage": usage}


def chunk(model: str, delta: Json, finish: str | None = None) -> Json:
    return _envelope(model, "chat.completion.chunk", {"delta": delta}, finish)


def bill(model: str, usage: Json) -> Json:
    """The chunk after the last, sent to those who asked for `include_usage`."""
    return chunk(model, {}) | {"choices": [], "usage": usage}


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def event(data: Json) -> bytes:
    # ASCII, as OpenAI sends it: half an emoji can travel as an escape.
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def wants_usage(request: Json) -> bool:
    return bool((request.get("stream_options") or {}).get("include_usage"))


def wanted_schema(request: Json) -> Json | None:
    """The JSON Schema that the answer must fit, if the request names one."""
    form = request.get("response_format") or {}
    schema: Json | None = (form.get("json_schema") or {}).get("schema")
    return schema


def _envelope(model: str, kind: str, choice: Json, finish: str | None) -> Json:
    whole = {"index": 0, "logprobs": None, "finish_reason": finish, **choice}
    return {"id": "chatcmpl-local", "object": kind, "created": 0, "model": model, "choices": [whole]}
