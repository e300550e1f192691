"""Options of siamese learning without negatives."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.objectives.options import ObjectiveOptions


class SiameseOptions(ObjectiveOptions):
    """Predict the projection of one view from another, without negatives (BYOL with a teacher, SimSiam without)."""

    built_by: ClassVar[str] = "headwater.models.objectives.siamese.objective:Siamese"

    kind: Literal["siamese"] = Field(default="siamese", description="Predict one view's projection from another's.")
    field: str = Field(default="image", description="Field whose two views `<field>_a` and `<field>_b` are compared.")
    teacher: str | None = Field(
        default=None,
        description="Teacher that projects the targets, as in BYOL; unset: the student itself, without gradient, as in "
        "SimSiam.",
    )
    projection_width: int = Field(default=256, description="Numbers per example that are predicted.")
    hidden: int = Field(default=512, description="Hidden width of projection and predictor.")
    projection_layers: int = Field(default=2, description="Linear maps of the projection.")
    norm: Literal["batch", "layer", "none"] = Field(
        default="batch",
        description="Normalisation of hidden layers; batch ties the examples of a batch together, so that it cannot "
        "be cut.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.projection_width, self.hidden, self.projection_layers) < 1:
            raise ValueError("projection_width, hidden and projection_layers must be at least 1")
        return self

    def needs(self) -> frozenset[str]:
        """Both views."""
        return frozenset({f"{self.field}_a", f"{self.field}_b"})

    @property
    def needs_whole_batch(self) -> bool:
        """Batch normalisation in the heads reads all examples."""
        return self.norm == "batch"
