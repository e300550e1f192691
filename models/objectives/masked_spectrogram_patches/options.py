"""Options of masked spectrogram patch modelling."""

from typing import ClassVar, Literal

from pydantic import Field

from headwater.models.objectives.options import ObjectiveOptions


class MaskedSpectrogramPatchesOptions(ObjectiveOptions):
    """Recognise each hidden patch among the hidden patches of its spectrogram, and rebuild it (SSAST).

    Its terms are `discriminative` and `generative`; `recipe.weights` weighs them (as published 1 and 10).
    """

    built_by: ClassVar[str] = (
        "headwater.models.objectives.masked_spectrogram_patches.objective:MaskedSpectrogramPatches"
    )

    kind: Literal["masked_spectrogram_patches"] = Field(
        default="masked_spectrogram_patches", description="Recognise hidden patches among each other, and rebuild them."
    )
    field: str = Field(default="spectrogram", description="Field of spectrograms (B, F, T) or images (B, C, H, W).")
    masked: str = Field(default="masked", description="Field that is true for every hidden patch, (B, patches).")

    def needs(self) -> frozenset[str]:
        """The spectrogram, and which of its patches are hidden."""
        return frozenset({self.field, self.masked})

    def terms(self) -> frozenset[str]:
        """Recognising and rebuilding."""
        return frozenset({"discriminative", "generative"})
