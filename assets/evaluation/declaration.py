"""What a declaration may say about an evaluation: of which training, on whose held-out documents, measuring what."""

from pydantic import Field

from headwater.assets.evaluation.options import EvaluationOptions as MeasureOptions
from headwater.assets.options import NAME, ComponentOptions


class EvaluationOptions(ComponentOptions):
    """A checkpoint measured on held-out documents, with checks that can block what is downstream."""

    training: str = Field(
        pattern=NAME.replace("$", "(/current)?$"),
        description="The Training whose latest checkpoint is measured; `NAME/current`: the promoted one.",
    )
    held_out: str = Field(pattern=NAME, description="The Shards whose corpora's held-out documents it is measured on.")
    measures: MeasureOptions = Field(
        default_factory=MeasureOptions, description="What is measured, beside what, and what must hold."
    )

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        name = self.training.removesuffix("/current")
        return [(("training",), "Training", name), (("held_out",), "Shards", self.held_out)]

    @property
    def checkpoint(self) -> str:
        """The asset that says which checkpoint is measured."""
        return self.training if self.training.endswith("/current") else f"{self.training}/checkpoint"
