"""What YAML may say about near-duplicates by vectors: `near: {kind: embedding}` and `verifier: {kind: cosine}`."""

from typing import Any, Literal

from pydantic import Field, field_validator

from headwater.models.options import Options

_COUNT: dict[str, Any] = {"minimum": 1}
_SHARE: dict[str, Any] = {"minimum": 0, "maximum": 1}


class HyperplaneOptions(Options):
    """Candidates by direction: documents whose vectors lie on the same sides of a band of random hyperplanes.

    Vectors are logarithms of word counts, in a space with a dimension for every word: order does not count.
    """

    kind: Literal["embedding"] = "embedding"
    bands: int = Field(default=32, description="Bands of hyperplanes, 8 bytes each.", json_schema_extra=_COUNT)
    rows: int = Field(
        default=18,
        description="Hyperplanes in a band; more make fewer candidates.",
        json_schema_extra=_COUNT | {"maximum": 64},
    )
    min_words: int = Field(
        default=12, description="Documents with fewer words are compared exactly only.", json_schema_extra=_COUNT
    )
    bucket_width: int = Field(
        default=64,
        description="In a bucket, documents are compared with this many of its earliest ones.",
        json_schema_extra=_COUNT,
    )
    seed: int = Field(default=0, description="Seed of the hyperplanes.")

    @field_validator("bands", "rows", "min_words", "bucket_width")
    @classmethod
    def _check_count(cls, value: int, info: Any) -> int:
        if value < 1 or (info.field_name == "rows" and value > 64):
            raise ValueError(f"{info.field_name} must be at least 1{', at most 64' * (value > 64)}, not {value}")
        return value


class AngleOptions(Options):
    """A candidate pair is a near-duplicate when the vectors of its texts point the same way."""

    kind: Literal["cosine"] = "cosine"
    threshold: float = Field(
        default=0.9,
        description="Smallest cosine of the logarithms of word counts, measured on the whole texts.",
        json_schema_extra=_SHARE,
    )

    @field_validator("threshold")
    @classmethod
    def _check_share(cls, value: float) -> float:
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"threshold must lie between 0 and 1, not {value}")
        return value
