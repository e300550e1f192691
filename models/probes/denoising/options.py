"""What a declaration may say about denoising as a measure."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.probes.options import ProbeOptions
from headwater.models.views.options import AnyView


class DenoisingOptions(ProbeOptions):
    """Bits for each token that a view hid, told by the network as it is."""

    built_by: ClassVar[str] = "headwater.models.probes.denoising.probe:Denoising"
    helpers: ClassVar[tuple[str, ...]] = ("protocol", "reading")
    bounds = {"mode": (0, 1 << 30), "start": (0, 1 << 30), "batch_size": (1, 1 << 20)}

    kind: Literal["denoising"] = Field(
        default="denoising", description="Bits for each token that a view hid, told by the network as it is."
    )
    view: AnyView = Field(
        description="What hides tokens: {kind: corrupt_spans, …} or {kind: prefix, …}. It draws the same for every "
        "network and seed."
    )
    mode: int | None = Field(default=None, description="Token id put before the inputs; unset: none.")
    other_modes: tuple[int, ...] = Field(
        default=(),
        description="Further mode tokens by which the same is asked; their mean is a figure beside.",
    )
    reads: Literal["pair", "in_order"] = Field(
        default="pair",
        description="`pair`: the inputs, then the targets, as in sequence-to-sequence learning. `in_order`: the text "
        "from left to right, each hidden token told from all before it: a causal language model's own format.",
    )
    uncounted: tuple[int, int] | None = Field(
        default=None,
        description="First and last token id that the figures leave out wherever they are to be written, such as "
        "sentinels; unset: every token counts.",
    )
    start: int = Field(default=0, description="Token id before the first target, for a decoder behind an encoder.")
    batch_size: int = Field(default=64, description="Examples at once; it bounds memory, not the result.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        hides = frozenset({"inputs", "inputs_length", "targets", "targets_length"})
        if not hides <= self.view.gives():
            raise ValueError(
                f"view must give {', '.join(sorted(hides))}, and gives {', '.join(sorted(self.view.gives()))}"
            )
        if self.reads == "in_order" and "hidden" not in self.view.gives():
            raise ValueError("reads: in_order needs to know which tokens are hidden: say `hidden: hidden` in the view")
        if self.other_modes and self.mode is None:
            raise ValueError("other_modes go with mode, the one that fits")
        if self.reads == "in_order" and self.mode is not None:
            raise ValueError("reads: in_order reads the text as it is: leave out mode")
        return self

    def needs(self) -> frozenset[str]:
        """What the view reads, the numbers of the examples that it draws by, and in_order the text."""
        return self.view.needs() | {"sample"} | ({"tokens"} if self.reads == "in_order" else set())

    @property
    def modules(self) -> tuple[str, ...]:
        """Its own modules, its view's, and those of the objective whose loss it measures."""
        learning = ("headwater.models.objectives.sequence_to_sequence", "headwater.models.views.pipeline")
        return tuple(dict.fromkeys([*super().modules, *self.view.modules, *learning]))
