"""What a declaration may say about the residual network."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.backbones.options import BackboneOptions


class ResNetOptions(BackboneOptions):
    """A convolutional residual network over images or spectrograms."""

    built_by: ClassVar[str] = "headwater.models.backbones.resnet.network:ResNet"
    follows: ClassVar[Mapping[str, str]] = {"channels": "channels"}

    kind: Literal["resnet"] = Field(default="resnet", description="A convolutional residual network.")
    channels: int = Field(default=3, description="Colour channels; 1 for spectrograms.")
    widths: tuple[int, ...] = Field(
        default=(32, 64, 128),
        description="Channels inside the blocks of each stage; from the second stage on, each halves height and width.",
    )
    blocks: tuple[int, ...] = Field(default=(1, 1, 1), description="Residual blocks of each stage.")
    block: Literal["basic", "bottleneck"] = Field(
        default="basic", description="Two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the channels outside."
    )
    stem: Literal["small", "large"] = Field(
        default="small",
        description="First layer: a 3x3 convolution for images of some 32 pixels, or 7x7 with stride 2 and pooling for "
        "some 224.",
    )
    norm: Literal["group", "batch"] = Field(
        default="group",
        description="Normalisation: over groups of an image's channels, or over the batch (as published; then the "
        "images of a batch influence each other in training).",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.widths or len(self.widths) != len(self.blocks):
            raise ValueError("widths and blocks must have one number for each stage, and at least one stage")
        if min(*self.widths, *self.blocks, self.channels) < 1:
            raise ValueError("widths, blocks and channels must be at least 1")
        return self

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides what is built."""
        return (*super().modules, "headwater.models.backbones.pooling")

    @property
    def expansion(self) -> int:
        """Channels outside a block per channel inside."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def needs_whole_batch(self) -> bool:
        """Batch normalisation reads all examples."""
        return self.norm == "batch"
