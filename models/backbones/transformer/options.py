"""What a declaration may say about the transformer."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.backbones.options import BackboneOptions, DecoderOptions


class TransformerOptions(BackboneOptions):
    """A transformer over tokens: encoder, decoder, prefix decoder, or encoder and decoder."""

    built_by: ClassVar[str] = "headwater.models.backbones.transformer.network:Transformer"
    follows: ClassVar[Mapping[str, str]] = {"vocabulary_size": "vocabulary_size", "context_length": "context_length"}

    kind: Literal["transformer"] = Field(default="transformer", description="A transformer over tokens.")
    architecture: Literal["encoder", "decoder", "prefix_decoder", "encoder_decoder"] = Field(
        default="encoder",
        description="Who sees whom: all tokens each other (encoder), each those before it (decoder), the same but a "
        "prefix each other (prefix_decoder), or an encoder whose states a decoder reads (encoder_decoder).",
    )
    width: int = Field(default=256, description="Numbers per token in the residual stream.")
    layers: int = Field(default=6, description="Blocks of the encoder, or of the only stack.")
    decoder_layers: int | None = Field(
        default=None, description="Blocks of the decoder of an encoder_decoder; as many as `layers` when unset."
    )
    heads: int = Field(default=4, description="Attention heads per block; the width must be an even multiple of it.")
    feed_forward: Literal["swiglu", "gelu", "relu"] = Field(
        default="swiglu", description="Inner layer of a block: gated by SiLU (three matrices), GELU or ReLU (two)."
    )
    feed_forward_width: int | None = Field(
        default=None,
        description="Inner width; unset: 8/3 of the width rounded up to a multiple of 64 for swiglu, else 4 times.",
    )
    vocabulary_size: int = Field(default=4096, description="Number of token ids, special tokens included.")
    context_length: int = Field(default=512, description="Longest sequence in tokens, of input and of output each.")
    rope_base: float = Field(default=10000.0, description="Base of the rotary wavelengths; larger reaches farther.")
    norm_epsilon: float = Field(default=1e-5, description="Added to the mean square in RMSNorm.")
    tied: bool = Field(default=True, description="Use the embedding matrix as the output matrix too.")
    pooling: Literal["mean", "first", "last"] = Field(
        default="mean", description="Which hidden states are an example's embedding: mean, first, or last that is real."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.decoder_layers is not None and self.architecture != "encoder_decoder":
            raise ValueError("decoder_layers is for architecture: encoder_decoder; leave it out")
        if self.decoder_layers is not None and self.decoder_layers < 1:
            raise ValueError("decoder_layers must be at least 1")
        self.stack()
        return self

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides what is built: the folder, and the decoder's pieces."""
        shared = ("decoder", "token_network", "attention", "pooling", "rotary")
        return (*super().modules, *(f"headwater.models.backbones.{name}" for name in shared))

    @property
    def inner_width(self) -> int:
        """Width inside the feed-forward layer, the default resolved."""
        if self.feed_forward_width is not None or self.feed_forward == "swiglu":
            return self.stack().inner_width
        return 4 * self.width

    def stack(self, layers: int | None = None) -> DecoderOptions:
        """Options of one stack of the Llama family's blocks, of which this network is made."""
        return DecoderOptions(
            width=self.width,
            layers=self.layers if layers is None else layers,
            heads=self.heads,
            feed_forward_width=self.feed_forward_width,
            vocabulary_size=self.vocabulary_size,
            context_length=self.context_length,
            rope_base=self.rope_base,
            norm_epsilon=self.norm_epsilon,
            tied=self.tied,
        )
