"""The base of every option model of the learning room: closed (a misspelled field is an error) and immutable."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Options that determine content: unknown fields are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
