"""What every request and response body has in common."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Input(BaseModel):
    """A request body. Unknown fields are refused, but for `user_id`: the token alone says who calls."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _ignore_user_id(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "user_id" not in cls.model_fields:
            return {name: value for name, value in data.items() if name != "user_id"}
        return data


class Output(BaseModel):
    """A response body, read from an object's attributes: only the fields named here ever leave."""

    model_config = ConfigDict(from_attributes=True)
