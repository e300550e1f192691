"""What a declaration may say about a needle in a haystack."""

from itertools import pairwise
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.mark_options import refuse_few
from headwater.models.probes.options import FigureMap, ProbeOptions


class NeedleOptions(ProbeOptions):
    """A run of random tokens hidden in texts of several lengths at several depths, and asked for at their end."""

    built_by: ClassVar[str] = "headwater.models.probes.needle.probe:Needle"
    helpers: ClassVar[tuple[str, ...]] = ("protocol", "reading")
    bounds = {
        "lengths": (1, 1 << 20),
        "depths": (0.0, 1.0),
        "tokens": (2, 1 << 10),
        "key": (1, 1 << 10),
        "ids": (0, 1 << 30),
        "texts": (1, 1 << 20),
        "batch_size": (1, 1 << 20),
    }

    kind: Literal["needle"] = Field(
        default="needle", description="A run of random tokens hidden in long texts, and asked for at their end."
    )
    field: str = Field(default="tokens", description="Field of token ids (examples, positions): the haystacks.")
    length: str = Field(default="length", description="Field with the number of tokens that are not padding.")
    lengths: tuple[int, ...] = Field(description="Tokens that the network reads of each haystack, needle included.")
    depths: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0),
        description="Where the needle lies: share of the haystack that stands before it.",
    )
    tokens: int = Field(default=4, description="Tokens of a needle.")
    key: int = Field(default=1, description="Of them, those that are said again at the end; the rest must be told.")
    ids: tuple[int, int] = Field(description="First and last token id that needles are drawn from, none twice.")
    groups: int | None = Field(
        default=None,
        description="The ids are divided into so many equal groups, and a needle is of a group: its first id, which is "
        "the question, and then others of it. By chance one of a group's other ids is told. Unset: any ids.",
    )
    texts: int = Field(default=32, description="Haystacks of each length and depth; examples are taken in turn.")
    batch_size: int = Field(default=16, description="Haystacks at once; it bounds memory, not the result.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("lengths", "depths"):
            values = getattr(self, name)
            if not values or any(later <= earlier for earlier, later in pairwise(values)):
                raise ValueError(f"{name} must rise, and name one at least; they are {list(values)}")
        if self.key >= self.tokens:
            raise ValueError(f"key ({self.key}) must be less than tokens ({self.tokens})")
        refuse_few(self.ids, self.groups, 1, self.tokens)
        if self.lengths[0] < 2 * self.tokens:
            raise ValueError(f"lengths must be {2 * self.tokens} at least: the needle, its key and value, some hay")
        return self

    def needs(self) -> frozenset[str]:
        """Texts and their lengths."""
        return frozenset({self.field, self.length})

    def cell(self, length: int, depth: float) -> str:
        """The name of a cell's figure."""
        return f"{length}_tokens_at_{100 * depth:g}_percent/recall"

    def maps(self) -> tuple[FigureMap, ...]:
        """Recall by length and depth."""
        return (
            FigureMap(
                title="recall by length and depth",
                across="tokens read",
                up="needle's depth in percent",
                columns=tuple(str(length) for length in self.lengths),
                rows=tuple(f"{100 * depth:g}" for depth in self.depths),
                figures=tuple(tuple(self.cell(length, depth) for length in self.lengths) for depth in self.depths),
            ),
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """Its own modules, and what draws the needles."""
        return (*super().modules, "headwater.models.marks")
