"""The base of every option model that YAML may say, and what all components have in common."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from headwater.assets.compute.options import ComputeOptions
from headwater.assets.likeness import NOT_IN_A_VARIANT, completed
from headwater.assets.scales import Scale
from headwater.models.options import Options

__all__ = ["ComponentOptions", "Options"]

NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
ANY_COMPONENT = "component"  # in references: a component of whichever kind, or one of its assets


class Misfit(NamedTuple):
    """Something that two declarations contradict each other in: where it is said, what is wrong, and the mend."""

    location: tuple[int | str, ...]
    message: str
    mend: str


class ComponentOptions(Options):
    """What every declaration may say about itself."""

    name: str = Field(pattern=NAME, description="Name of the component: the first part of its assets' keys.")
    like: str | None = Field(
        None,
        pattern=NAME,
        description="Another component of this kind: what is not said here is as it is there. Mappings are joined.",
    )
    variants: dict[str, dict[str, Any]] = Field(
        {}, description="Further components like this one, by name: for each, the attributes in which it differs."
    )
    description: str = Field("", description="Shown on the asset pages.")
    owners: list[str] = Field([], description="E-mail addresses, or team:NAME.")
    tags: dict[str, str] = Field({}, description="Dagster tags of the assets.")
    compute: ComputeOptions = Field(
        default_factory=ComputeOptions, description="How it is computed; never changes what is computed."
    )
    scales: dict[Scale, dict[str, Any]] = Field(
        {}, description="What differs at another size (`smoke`, `small`, `paper`), as attributes; see HEADWATER_SCALE."
    )

    @model_validator(mode="before")
    @classmethod
    def _like_another(cls, attributes: Any) -> Any:
        if isinstance(attributes, dict) and attributes.get("like") is not None:
            return completed(attributes, cls.__name__.removesuffix("Options"))
        return attributes

    @field_validator("scales")
    @classmethod
    def _the_same_component(cls, scales: dict[Scale, dict[str, Any]]) -> dict[Scale, dict[str, Any]]:
        for scale, own in scales.items():
            if said := sorted(own.keys() & set(NOT_IN_A_VARIANT)):
                raise ValueError(f"'{scale}' says {' and '.join(said)}, which hold at every scale; say it outside")
        return scales

    @model_validator(mode="after")
    def _variants_differ(self) -> Self:
        for name, own in self.variants.items():
            if name == self.name:
                raise ValueError(f"variants: '{name}' is the name of this component; give the variant another one")
            if said := sorted(own.keys() & set(NOT_IN_A_VARIANT)):
                told = "its key is its name, and it is like this one"
                raise ValueError(f"variants: '{name}' says {' and '.join(said)}: {told}; leave that out")
        return self

    @field_validator("owners")
    @classmethod
    def _owner_form(cls, owners: list[str]) -> list[str]:
        for owner in owners:
            if "@" not in owner and not owner.startswith("team:"):
                raise ValueError(f"'{owner}' is neither an e-mail address nor team:NAME")
        return owners

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """Other components this one names: (where in the attributes, their kind, their name)."""
        return []

    def misfits(self, named: Callable[[str], Any]) -> Iterator[Misfit]:
        """What cannot work with the components that this one names; ``named`` gives a component's options, or None."""
        return iter(())

    def common(self) -> dict[str, Any]:
        """What a stage takes over from its component."""
        return {"owners": tuple(self.owners), "tags": dict(self.tags), "compute": self.compute}
