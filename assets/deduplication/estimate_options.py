"""What YAML may say about the estimate of deduplication's own precision and recall."""

from typing import Any

from pydantic import Field, field_validator

from headwater.models.options import Options

_SHARE: dict[str, Any] = {"minimum": 0, "maximum": 1}
_COUNT: dict[str, Any] = {"minimum": 0}


class EstimateOptions(Options):
    """How large the samples are from which a run estimates its precision and recall, and what it should reach."""

    documents: int = Field(
        default=240,
        description="Documents that get a planted copy, edited in one of six ways; 0 estimates no recall.",
        json_schema_extra=_COUNT,
    )
    max_share: float = Field(
        default=0.02,
        description="Share of all documents that get one at most: it bounds the cost in small corpora.",
        json_schema_extra=_SHARE,
    )
    edges: int = Field(
        default=150,
        description="Accepted near-duplicate pairs that are measured again, otherwise; 0 estimates no precision.",
        json_schema_extra=_COUNT,
    )
    least_shared: float = Field(
        default=0.7,
        description="Share of their words that a pair must have in common, measured so, to count as right.",
        json_schema_extra=_SHARE,
    )
    min_precision: float = Field(
        default=0.95,
        description="The check fails when precision lies below this with 95 % confidence.",
        json_schema_extra=_SHARE,
    )
    min_recall: float = Field(
        default=0.85,
        description="The check fails when the recall of planted copies lies below this with 95 % confidence.",
        json_schema_extra=_SHARE,
    )
    renew_after: float = Field(
        default=0.1,
        description="A refresh keeps the earlier estimate until this share of the documents came or went since.",
        json_schema_extra=_SHARE,
    )

    @field_validator("documents", "edges")
    @classmethod
    def _check_count(cls, value: int, info: Any) -> int:
        if value < 0:
            raise ValueError(f"{info.field_name} must be at least 0, not {value}")
        return value

    @field_validator("max_share", "least_shared", "min_precision", "min_recall", "renew_after")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{info.field_name} is a share and must lie between 0 and 1, not {value}")
        return value
