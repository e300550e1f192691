"""Options of self-distillation over crops."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.objectives.options import ObjectiveOptions


class SelfDistilOptions(ObjectiveOptions):
    """Tell from one crop of an image what an average of oneself says of another (DINO)."""

    built_by: ClassVar[str] = "headwater.models.objectives.self_distil.objective:SelfDistil"

    kind: Literal["self_distil"] = Field(default="self_distil", description="Agree with one's own average over crops.")
    teacher: str = Field(default="ema", description="The recipe's teacher by name, an average of the student.")
    field: str = Field(default="image", description="Field whose crops are `<field>_<view>`.")
    large: tuple[str, ...] = Field(
        default=("a", "b"), description="Views that the teacher sees, and the student too: large crops."
    )
    small: str | None = Field(
        default=None, description="View of several stacked small crops (B, crops, …) that only the student sees."
    )
    prototypes: int = Field(default=4096, description="Outputs of the head: numbers of the softmax.")
    hidden: int = Field(default=2048, description="Hidden width of the head.")
    bottleneck: int = Field(default=256, description="Width before the last layer, where vectors get length 1.")
    temperature: float = Field(default=0.1, description="Temperature of the student's softmax.")
    first_teacher_temperature: float = Field(default=0.04, description="The teacher's temperature at the start.")
    teacher_temperature: float = Field(default=0.04, description="The teacher's temperature after the warm-up.")
    warmup: float = Field(default=0.1, description="Share of the run in which the teacher's temperature moves.")
    centre_momentum: float = Field(default=0.9, description="Share of the centre that a step keeps.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.temperature, self.teacher_temperature, self.first_teacher_temperature) <= 0:
            raise ValueError("temperatures must be greater than 0")
        if not (0 <= self.warmup <= 1 and 0 <= self.centre_momentum <= 1):
            raise ValueError("warmup and centre_momentum must lie between 0 and 1")
        if len(self.large) + (2 if self.small else 0) < 2 or not self.large:
            raise ValueError("there must be one large crop and another crop at least")
        if min(self.prototypes, self.hidden, self.bottleneck) < 1:
            raise ValueError("prototypes, hidden and bottleneck must be at least 1")
        return self

    def needs(self) -> frozenset[str]:
        """All crops."""
        return frozenset(f"{self.field}_{view}" for view in (*self.large, *((self.small,) if self.small else ())))

    @property
    def needs_whole_batch(self) -> bool:
        """The centre is the mean of a batch."""
        return True
