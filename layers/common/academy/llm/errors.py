"""Why a model gave no answer, in our words: nothing that a provider wrote gets further than here."""

from academy.errors import AppError
from academy.llm.shapes import Usage

LONGEST_WAIT = 3600
USUAL_WAIT = 10


class ModelError(AppError):
    """A question that was not answered. `usage` and `calls` say what it cost all the same."""

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, headers=headers)
        self.usage = Usage()
        self.calls = 0


class ModelNotConfigured(ModelError):
    status, code = 503, "ai_not_configured"

    def __init__(
        self, detail: str = "No model is configured. Set DEFAULT_OPENAI_API_KEY, or add a key of your own."
    ) -> None:
        super().__init__(detail)


class ModelRateLimited(ModelError):
    """`retry_after`: seconds, from the provider's header where it sent a sane one."""

    status, code = 503, "ai_rate_limited"

    def __init__(self, retry_after: float | None = None) -> None:
        self.retry_after = round(min(max(retry_after or USUAL_WAIT, 1), LONGEST_WAIT))
        super().__init__(
            f"The model server takes no more requests for now. Try again in {self.retry_after} seconds, "
            "and check the key's quota if this stays.",
            headers={"Retry-After": str(self.retry_after)},
        )


class KeyRejected(ModelError):
    status, code = 424, "ai_key_rejected"

    def __init__(self) -> None:
        super().__init__("The model server refused the API key. Check the key, its rights and its balance.")


class ModelUnavailable(ModelError):
    status, code = 502, "ai_unavailable"

    def __init__(self, detail: str = "The model server gave no usable answer. Try again.") -> None:
        super().__init__(detail)


class ModelTimeout(ModelError):
    status, code = 504, "ai_timeout"

    def __init__(self) -> None:
        super().__init__("The model took too long to answer. Try again, or use a faster model.")


class BadOutput(ModelError):
    status, code = 502, "ai_bad_output"

    def __init__(
        self, detail: str = "The model's answer did not have the form it should. Try again."
    ) -> None:
        super().__init__(detail)
