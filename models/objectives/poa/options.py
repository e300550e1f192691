"""Options of self-distillation with an elastic student."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.objectives.options import ObjectiveOptions


class PoaOptions(ObjectiveOptions):
    """Tell from one crop what an average of oneself says of another, whole and as a part of oneself (POA)."""

    built_by: ClassVar[str] = "headwater.models.objectives.poa.objective:Poa"

    kind: Literal["poa"] = Field(
        default="poa", description="Self-distillation of a network and of smaller ones that it holds."
    )
    teacher: str = Field(default="ema", description="The recipe's teacher by name, an average of the student.")
    field: str = Field(default="image", description="Field whose crops are `<field>_<view>`.")
    large: tuple[str, ...] = Field(
        default=("a", "b"), description="Views that the teacher sees, and the student too: large crops."
    )
    small: str | None = Field(
        default=None, description="View of several stacked small crops (B, crops, …) that only the student sees."
    )
    elastic: bool = Field(
        default=True,
        description="Whether a part of the student, drawn anew at each step, learns too; otherwise only the whole "
        "student does, by the same loss.",
    )
    prototypes: tuple[int, ...] = Field(
        default=(8192, 16384, 32768, 65536), description="Outputs of each head: numbers of its softmax."
    )
    hidden: int = Field(default=2048, description="Hidden width of a head.")
    bottleneck: int = Field(default=256, description="Width before a head's last layer, where vectors get length 1.")
    norm: Literal["batch", "none"] = Field(
        default="none",
        description="Normalisation of a head's hidden layers, `none` as published. `batch` takes out what all examples "
        "of a batch share, which in a short training from near-equal first features otherwise stays in charge.",
    )
    temperature: float = Field(default=0.1, description="Temperature of the students' softmax.")
    first_teacher_temperature: float = Field(default=0.04, description="The teacher's temperature at the start.")
    teacher_temperature: float = Field(default=0.07, description="The teacher's temperature after the warm-up.")
    warmup: float = Field(default=0.1, description="Share of the run in which the teacher's temperature moves.")
    rounds: int = Field(
        default=3, description="Rounds of Sinkhorn and Knopp that make all prototypes of a batch equally frequent."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if min(self.temperature, self.teacher_temperature, self.first_teacher_temperature) <= 0:
            raise ValueError("temperatures must be greater than 0")
        if not 0 <= self.warmup <= 1:
            raise ValueError("warmup must lie between 0 and 1")
        if len(self.large) + (2 if self.small else 0) < 2 or not self.large:
            raise ValueError("there must be one large crop and another crop at least")
        if not self.prototypes or len(set(self.prototypes)) < len(self.prototypes):
            raise ValueError("prototypes must be different numbers, one for each head, and at least one")
        if min(*self.prototypes, self.hidden, self.bottleneck, self.rounds) < 1:
            raise ValueError("prototypes, hidden, bottleneck and rounds must be at least 1")
        return self

    def needs(self) -> frozenset[str]:
        """All crops."""
        return frozenset(f"{self.field}_{view}" for view in (*self.large, *((self.small,) if self.small else ())))

    def terms(self) -> frozenset[str]:
        """That of the whole student, and those of its part."""
        small = {"same_view_small"} if self.small else set()
        return frozenset({"intact", "elastic", "same_view"} | small if self.elastic else {"intact"})

    @property
    def needs_whole_batch(self) -> bool:
        """Prototypes are made equally frequent within a batch."""
        return True
