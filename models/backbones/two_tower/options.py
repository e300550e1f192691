"""What a declaration may say about several networks side by side."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, TypeAdapter, WithJsonSchema, model_validator

from headwater.models.backbones.options import BackboneOptions
from headwater.models.discovery import choice


@cache
def _any_backbone() -> TypeAdapter[BackboneOptions]:
    return TypeAdapter(choice("headwater.models.backbones", BackboneOptions))


def _as_backbone(value: Any) -> Any:
    # The choice is made when a tower is read: while this file is, the family is not yet known.
    return _any_backbone().validate_python(value)


Tower = Annotated[
    SerializeAsAny[BackboneOptions],
    BeforeValidator(_as_backbone),
    WithJsonSchema({"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}),
]


class TwoTowerOptions(BackboneOptions):
    """Networks side by side, each with fields of its own: an image tower and a text tower."""

    built_by: ClassVar[str] = "headwater.models.backbones.two_tower.network:TwoTower"

    kind: Literal["two_tower"] = Field(default="two_tower", description="Networks side by side, by name.")
    towers: dict[str, Tower] = Field(
        default={}, description="Name → backbone, for example {image: {kind: vit}, text: {kind: transformer}}."
    )
    embeds: str | None = Field(
        default=None, description="The tower whose vector is the embedding of an example; unset: the first."
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if wrong := [name for name in self.towers if not name.isidentifier()]:
            raise ValueError(f"towers must be named by letters, digits and _: {', '.join(wrong)}")
        if self.embeds is not None and self.embeds not in self.towers:
            raise ValueError(f"embeds: {self.embeds} is not among the towers {', '.join(self.towers)}")
        return self

    @property
    def needs_whole_batch(self) -> bool:
        """As any of the towers."""
        return any(tower.needs_whole_batch for tower in self.towers.values())

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides what is built: this folder and those of the towers."""
        inner = (module for tower in self.towers.values() for module in tower.modules)
        return tuple(dict.fromkeys((*super().modules, *inner)))

    def fitted_to(self, facts: Mapping[str, Any]) -> Self:
        """With the sizes of every tower that the declaration left out taken from the data."""
        return self.model_copy(update={"towers": {n: tower.fitted_to(facts) for n, tower in self.towers.items()}})
