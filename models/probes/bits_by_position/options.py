"""What a declaration may say about bits by position."""

from itertools import pairwise
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.probes.options import ProbeOptions


class BitsByPositionOptions(ProbeOptions):
    """Bits for each token of long texts, stretch by stretch: what a network makes of all that stands before."""

    built_by: ClassVar[str] = "headwater.models.probes.bits_by_position.probe:BitsByPosition"
    helpers: ClassVar[tuple[str, ...]] = ("protocol", "reading")
    bounds = {"edges": (0, 1 << 30), "batch_size": (1, 1 << 20)}

    kind: Literal["bits_by_position"] = Field(
        default="bits_by_position", description="Bits for each token of long texts, stretch by stretch."
    )
    field: str = Field(default="tokens", description="Field of token ids (examples, positions).")
    length: str = Field(default="length", description="Field with the number of tokens that are not padding.")
    edges: tuple[int, ...] = Field(
        description="Positions at which stretches begin, and where the last one ends. Only texts that reach so far "
        "count: all stretches are of the same texts."
    )
    batch_size: int = Field(default=8, description="Texts at once; it bounds memory, not the result.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.edges) < 2 or any(later <= earlier for earlier, later in pairwise(self.edges)):
            raise ValueError(f"edges must rise, and be two at least; they are {list(self.edges)}")
        if self.edges[1] < 2:
            raise ValueError("the first stretch must have a token with another before it: edges from 2 on")
        return self

    def needs(self) -> frozenset[str]:
        """Texts and their lengths."""
        return frozenset({self.field, self.length})
