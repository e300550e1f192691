"""The base of what a declaration may say about a probe. No torch here: loading many pipelines must stay cheap."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, TypeAdapter, WithJsonSchema

from headwater.models.discovery import PartOptions, choice
from headwater.models.options import Bounded


class FigureMap(NamedTuple):
    """Figures of a probe that are one picture: a grid of values, from the upper left."""

    title: str
    across: str
    up: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    figures: tuple[tuple[str, ...], ...]  # by row: the figures' names


class ProbeOptions(PartOptions, Bounded):
    """A way to measure a network; `build()` gives the probe."""

    # Modules outside the probe's folder that its figures depend on.
    helpers: ClassVar[tuple[str, ...]] = ("protocol",)

    def needs(self) -> frozenset[str]:
        """Fields that the measured examples must have, beside those that the network reads."""
        raise TypeError(f"{type(self).__name__} must say which fields it needs")

    def worded(
        self, categories: Mapping[str, Sequence[str]], encode: Callable[[str], list[int]] | None, end: int | None
    ) -> Self:
        """These options with all that they say in words turned into token ids; most probes have no words.

        `categories`: the names of each field's classes, in the order of their numbers. `encode`: the tokenizer of the
        examples' texts, None where they have none; `end`: its end-of-text token. Raises ValueError where one lacks.
        """
        return self

    def maps(self) -> tuple[FigureMap, ...]:
        """Figures that people see as a map; most probes have none. They must lie between 0 and 1."""
        return ()

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides what is measured: the probe's folder and what it shares with others."""
        return (*super().modules, *(f"headwater.models.probes.{name}" for name in self.helpers))


class FeatureProbeOptions(ProbeOptions):
    """A probe of one vector per example: the network's embedding or, as a baseline, its input."""

    features: Literal["embedding", "raw"] = Field(
        default="embedding", description="What is measured: the network's embedding, or the input fields themselves."
    )
    raw: tuple[str, ...] = Field(
        default=("image",), description="features raw: the fields, flattened and put side by side."
    )

    def needs(self) -> frozenset[str]:
        """The input, where that is what is measured."""
        return frozenset(self.raw if self.features == "raw" else ())


class LabelProbeOptions(FeatureProbeOptions):
    """A probe that compares with labels."""

    label: str = Field(
        default="label",
        description="Field of the labels: class numbers from 0, of which -1 means unlabelled. (The linear probe also "
        "takes floats, of which NaN means unknown.)",
    )

    def needs(self) -> frozenset[str]:
        """The labels, and the input where that is what is measured."""
        return super().needs() | {self.label}


@cache
def _known_probes() -> TypeAdapter[ProbeOptions]:
    return TypeAdapter(choice("headwater.models.probes", ProbeOptions))


def any_probe(value: Any) -> ProbeOptions:
    """Options of any kind of probe, looked up when they are met: a probe of probes cannot list its family earlier."""
    return _known_probes().validate_python(value)


# The type of an option that is itself a probe.
AnyProbe = Annotated[
    SerializeAsAny[ProbeOptions],
    BeforeValidator(any_probe),
    WithJsonSchema({"type": "object", "required": ["kind"], "description": "Any kind of probe."}),
]
