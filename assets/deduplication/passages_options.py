"""What YAML may say about passages that a document repeats from earlier ones."""

from typing import Any, Literal

from pydantic import Field, field_validator

from headwater.models.options import Options

_SHARE: dict[str, Any] = {"minimum": 0, "maximum": 1}
_COUNT: dict[str, Any] = {"minimum": 1}


class PassageOptions(Options):
    """Drop documents that mostly repeat passages of earlier kept ones, without resembling any one of them.

    Texts are not cut: a document is dropped whole, or kept whole.
    """

    unit: Literal["line", "paragraph", "words"] = Field(
        default="words",
        description="What is compared: lines, paragraphs (between empty lines), or any run of min_words words.",
    )
    min_words: int = Field(
        default=50,
        description="Words of a passage; shorter lines and paragraphs are not looked at. Case and punctuation do not "
        "count; runs may lie anywhere and are found from this length on.",
        json_schema_extra=_COUNT,
    )
    min_count: int = Field(
        default=1,
        description="Earlier kept documents that must have a passage before it counts as repeated.",
        json_schema_extra=_COUNT,
    )
    max_share: float = Field(
        default=0.5,
        description="Share of a document's bytes that may stand in repeated passages; with more it is dropped.",
        json_schema_extra=_SHARE,
    )

    @field_validator("min_words", "min_count")
    @classmethod
    def _check_count(cls, value: int, info: Any) -> int:
        if value < 1:
            raise ValueError(f"{info.field_name} must be at least 1, not {value}")
        return value

    @field_validator("max_share")
    @classmethod
    def _check_share(cls, value: float) -> float:
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"max_share is a share and must lie between 0 and 1, not {value}")
        return value
