"""What a declaration may say about a backbone. No torch here: loading many pipelines must stay cheap."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from headwater.models.discovery import PartOptions


class BackboneOptions(PartOptions):
    """A network; `build()` gives it without weights."""

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the examples of a batch influence each other, as by batch normalisation."""
        return False


class DecoderOptions(BackboneOptions):
    """A Llama-family decoder: pre-norm RMSNorm, rotary positions, SwiGLU, grouped-query attention."""

    built_by: ClassVar[str] = "headwater.models.backbones.decoder:Decoder"
    follows: ClassVar[Mapping[str, str]] = {"vocabulary_size": "vocabulary_size", "context_length": "context_length"}

    kind: Literal["decoder"] = Field(default="decoder", description="A causal decoder transformer.")
    width: int = Field(default=256, description="Numbers per token in the residual stream.")
    layers: int = Field(default=6, description="Number of transformer blocks.")
    heads: int = Field(default=4, description="Query heads per block; the width must be a multiple of it.")
    key_value_heads: int | None = Field(
        default=None, description="Key and value heads shared by groups of query heads; as many as `heads` when unset."
    )
    feed_forward_width: int | None = Field(
        default=None,
        description="Inner width of the SwiGLU layer; unset: 8/3 of the width, rounded up to a multiple of 64.",
    )
    vocabulary_size: int = Field(default=4096, description="Number of token ids, special tokens included.")
    context_length: int = Field(default=512, description="Longest sequence in tokens.")
    rope_base: float = Field(default=10000.0, description="Base of the rotary wavelengths; larger reaches farther.")
    norm_epsilon: float = Field(default=1e-5, description="Added to the mean square in RMSNorm.")
    tied: bool = Field(default=True, description="Use the embedding matrix as the output matrix too.")
    attention: Literal["sdpa", "flex"] = Field(
        default="sdpa",
        description="Kernel for packed documents: PyTorch's scaled_dot_product_attention with a mask, or flex "
        "attention (CUDA only; elsewhere sdpa is used).",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sizes = ("width", "layers", "heads", "vocabulary_size", "context_length")
        small = [name for name in sizes if getattr(self, name) < 1]
        if small:
            raise ValueError(f"{', '.join(small)} must be at least 1")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width ({self.width}) must be an even multiple of heads ({self.heads})")
        if self.key_value_heads is not None and (self.key_value_heads < 1 or self.heads % self.key_value_heads):
            raise ValueError(f"heads ({self.heads}) must be a multiple of key_value_heads ({self.key_value_heads})")
        if self.feed_forward_width is not None and self.feed_forward_width < 1:
            raise ValueError("feed_forward_width must be at least 1")
        if self.rope_base <= 0 or self.norm_epsilon <= 0:
            raise ValueError("rope_base and norm_epsilon must be greater than 0")
        return self

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides what is built."""
        return tuple(
            f"headwater.models.backbones.{name}"
            for name in ("decoder", "token_network", "attention", "pooling", "rotary")
        )

    @property
    def head_width(self) -> int:
        """Numbers per attention head."""
        return self.width // self.heads

    @property
    def groups(self) -> int:
        """Key and value heads, the default resolved."""
        return self.key_value_heads or self.heads

    @property
    def inner_width(self) -> int:
        """Width of the SwiGLU layer, the default resolved."""
        return self.feed_forward_width or -(-8 * self.width // (3 * 64)) * 64
