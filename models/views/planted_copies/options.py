"""What a declaration may say about planted copies."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.mark_options import refuse_few
from headwater.models.views.options import ViewOptions


class PlantedCopiesOptions(ViewOptions):
    """Runs of random tokens put at two places of each text each, so that the second can be told from the first."""

    built_by: ClassVar[str] = "headwater.models.views.planted_copies.view:PlantedCopies"
    bounds = {"copies": (1, 1 << 10), "tokens": (2, 1 << 10), "untold": (1, 1 << 10), "ids": (0, 1 << 30)}

    kind: Literal["planted_copies"] = Field(
        default="planted_copies", description="Runs of random tokens, each put at two places of a text."
    )
    field: str = Field(default="tokens", description="Field that is changed: token ids (examples, positions).")
    segments: str | None = Field(
        default="segments",
        description="Field that numbers the documents of packed samples, which no run and no pair crosses; unset: a "
        "row is one document.",
    )
    loss_mask: str = Field(
        default="loss_mask",
        description="Field that is made false where nobody could tell a token: at first places, and at the `untold` "
        "first tokens of second ones. Where the batch has it, what is false stays false.",
    )
    copies: int = Field(default=4, description="Runs for each row; the row is cut into twice as many equal stretches.")
    tokens: int = Field(default=4, description="Tokens of a run.")
    untold: int = Field(default=1, description="Tokens at the head of a second place that are given: its key.")
    ids: tuple[int, int] = Field(description="First and last token id that runs are drawn from; in a row none twice.")
    groups: int | None = Field(
        default=None,
        description="The ids are divided into so many equal groups, and a run is of a group: its first id and then "
        "others of it, so that the first tells which to look for. Unset: any ids, in any order.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.untold >= self.tokens:
            raise ValueError(f"untold ({self.untold}) must be less than tokens ({self.tokens})")
        refuse_few(self.ids, self.groups, self.copies, self.tokens)
        return self

    def needs(self) -> frozenset[str]:
        """Token rows, and their documents where they are told apart."""
        return frozenset({self.field} | ({self.segments} if self.segments else set()))

    def gives(self) -> frozenset[str]:
        """The changed rows, and what may be a target."""
        return frozenset({self.field, self.loss_mask})

    @property
    def modules(self) -> tuple[str, ...]:
        """Its own modules, and what draws the runs."""
        return (*super().modules, "headwater.models.marks")
