"""Options of classification of transformed examples."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.objectives.options import ObjectiveOptions


class JointLabelOptions(ObjectiveOptions):
    """Name class and transformation of every transformed copy of an example (self-supervised label augmentation)."""

    built_by: ClassVar[str] = "headwater.models.objectives.joint_label.objective:JointLabel"
    follows: ClassVar[dict[str, str]] = {"classes": "classes"}

    kind: Literal["joint_label"] = Field(
        default="joint_label", description="Name class and transformation of each copy of an example."
    )
    labels: str = Field(default="label", description="Field of class numbers (B,); -1 marks an unlabelled example.")
    field: str = Field(default="image", description="What was transformed; the copies are in `<field>_<view>`.")
    view: str = Field(
        default="turned",
        description="Ending of the fields of copies (B, transformations, …), stacked in the order of the "
        "transformations, the example as it is first.",
    )
    classes: int = Field(default=10, description="Number of classes; that of the data when left out.")
    transformations: int = Field(default=4, description="Number of copies of each example.")
    task: Literal["joint", "sum"] = Field(
        default="joint",
        description="joint: one label for class and transformation together. sum: two heads, one for each, and the sum "
        "of their losses (the multi-task baseline).",
    )
    distil: bool = Field(
        default=False,
        description="task joint: a head of classes learns, from the example as it is, what all copies say together.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.classes < 1 or self.transformations < 1:
            raise ValueError("classes and transformations must be at least 1")
        if self.distil and self.task != "joint":
            raise ValueError("distil needs task: joint, for it learns from what the copies' joint labels say")
        return self

    def needs(self) -> frozenset[str]:
        """The labels and the copies."""
        return frozenset({self.labels, f"{self.field}_{self.view}"})

    def terms(self) -> frozenset[str]:
        """One for each head."""
        if self.task == "sum":
            return frozenset({"label", "transformation"})
        return frozenset({"joint", "label", "distilled"} if self.distil else {"joint"})
