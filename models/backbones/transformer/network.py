"""One transformer that serves as encoder, decoder, prefix decoder, and encoder and decoder.

The blocks are the decoder's (pre-norm RMSNorm, rotary positions, no biases); an architecture is an attention layout,
and for a decoder that reads an encoder, cross attention after the self-attention of each block (Vaswani et al.
2017, arXiv:1706.03762; Raffel et al. 2020, arXiv:1910.10683). Positions inside a sequence are rotary; cross attention
has none, as in T5. The four share their parameters' names as far as they have them, so that a decoder can become an
encoder by loading its weights.

Shapes: B batch, L length, T length of the decoder's side, S memory length, W width, V vocabulary, H heads, D per head.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from headwater.models.backbones.attention import (
    Layout,
    attend,
    masked_layout,
    packed_layout,
    padded_layout,
    plain_layout,
    prefix_layout,
)
from headwater.models.backbones.decoder import Block, KeyValueCache
from headwater.models.backbones.options import DecoderOptions
from headwater.models.backbones.pooling import pooled
from headwater.models.backbones.token_network import TokenNetwork
from headwater.models.backbones.transformer.options import TransformerOptions

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": functional.gelu, "relu": functional.relu}


class PlainFeedForward(nn.Module):
    """down(activation(up(x))), as before gated layers."""

    def __init__(self, width: int, inner: int, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x_BLW: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x_BLW)))


class CrossAttention(nn.Module):
    """Each position of one sequence looks at all real positions of another."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        self.head_width = options.head_width
        self.query, self.key, self.value, self.output = (
            nn.Linear(options.width, options.width, bias=False) for _ in range(4)
        )

    def remember(self, memory_BSW: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, D) of a memory, to be made once for many steps."""
        keys, values = (
            project(memory_BSW).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for project in (self.key, self.value)
        )
        return keys, values

    def forward(self, x_BTW: Tensor, remembered: tuple[Tensor, Tensor], layout: Layout) -> Tensor:
        queries = self.query(x_BTW).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        return self.output(attend(queries, *remembered, layout).transpose(1, 2).flatten(2))


class StackBlock(Block):
    """A block of the Llama family with another feed-forward layer where options say so."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__(options.stack())
        if options.feed_forward != "swiglu":
            self.feed_forward = PlainFeedForward(  # type: ignore[assignment]
                options.width, options.inner_width, options.feed_forward
            )


class CrossBlock(StackBlock):
    """A block of a decoder that reads an encoder: self-attention, cross attention, feed-forward."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__(options)
        self.cross_attention_norm = nn.RMSNorm(options.width, eps=options.norm_epsilon)
        self.cross_attention = CrossAttention(options.stack())

    def read(
        self,
        x_BTW: Tensor,
        turns: Tensor,
        layout: Layout,
        memory: tuple[tuple[Tensor, Tensor], Layout],
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """`memory`: this block's remembered keys and values, and the layout that hides their padding."""
        x_BTW = x_BTW + self.attention(self.attention_norm(x_BTW), turns, layout, cache, layer)
        x_BTW = x_BTW + self.cross_attention(self.cross_attention_norm(x_BTW), *memory)
        return x_BTW + self.feed_forward(self.feed_forward_norm(x_BTW))


class Memory:
    """What a decoder needs of an encoder's states (B, S, W): keys and values of every block, made when first asked."""

    def __init__(self, blocks: nn.ModuleList, memory_BSW: Tensor, length_B: Tensor | None) -> None:
        self.layout = padded_layout(length_B, memory_BSW.shape[1], memory_BSW.device)
        self.keys_and_values = [cast(CrossBlock, block).cross_attention.remember(memory_BSW) for block in blocks]

    def __iter__(self) -> Iterator[tuple[tuple[Tensor, Tensor], Layout]]:
        return ((pair, self.layout) for pair in self.keys_and_values)


class Transformer(TokenNetwork):
    """Token ids in, hidden states out, logits on request; see `TransformerOptions.architecture`.

    Weights are undefined until `initialise` or `load_state_dict`.
    """

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(options.vocabulary_size, options.width)
        self.blocks = nn.ModuleList(StackBlock(options) for _ in range(options.layers))
        self.norm = nn.RMSNorm(options.width, eps=options.norm_epsilon)
        if options.architecture == "encoder_decoder":
            layers = options.layers if options.decoder_layers is None else options.decoder_layers
            self.decoder_blocks = nn.ModuleList(CrossBlock(options) for _ in range(layers))
            self.decoder_norm = nn.RMSNorm(options.width, eps=options.norm_epsilon)
        self.head = None if options.tied else nn.Linear(options.width, options.vocabulary_size, bias=False)
        self.register_buffer("turns", self._turns(self.embedding.weight.device), persistent=False)

    def _depth(self, parameter: str) -> int:
        """Each stack's depth scales what writes to its own stream."""
        return len(self.decoder_blocks if parameter.startswith("decoder_blocks") else self.blocks)

    def forward(
        self,
        tokens_BL: Tensor,
        segments_BL: Tensor | None = None,
        *,
        length: Tensor | None = None,
        prefix: Tensor | None = None,
        mask: Tensor | None = None,
        decoder_tokens: Tensor | None = None,
    ) -> Tensor:
        """Normalised hidden states (B, L, W); of an encoder_decoder those (B, T, W) of `decoder_tokens` (B, T).

        `length` (B,) int64: how many tokens of each row are not padding. `segments_BL` numbers the documents of packed
        samples (decoders and prefix decoders; positions restart). `prefix` (B,) int64, for a prefix_decoder: how many
        first tokens see each other. `mask` (B, L, L) bool: who sees whom, instead of all that. Raises ValueError for
        arguments that the architecture cannot use and for more tokens than `context_length`.
        """
        architecture = self.options.architecture
        if (decoder_tokens is not None) != (architecture == "encoder_decoder"):
            raise ValueError("decoder_tokens belong to architecture: encoder_decoder, which cannot do without them")
        if prefix is not None and architecture != "prefix_decoder":
            raise ValueError(f"a prefix needs architecture: prefix_decoder, and this is a {architecture}")
        if decoder_tokens is not None:
            return self.decode(decoder_tokens, self.encode(tokens_BL, length, mask=mask), length)
        if architecture == "encoder":
            return self.encode(tokens_BL, length, segments_BL, mask)
        return self._run(tokens_BL, self._decoder_layout(tokens_BL, segments_BL, prefix, mask))

    def encode(
        self,
        tokens_BL: Tensor,
        length: Tensor | None = None,
        segments_BL: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (B, L, W) of the first stack with every real token seeing every other.

        With `segments_BL` only those of the same document (positions then count along the row); with `mask` those that
        it names.
        """
        if mask is None and segments_BL is not None:
            mask = segments_BL[:, :, None] == segments_BL[:, None, :]
        if mask is not None:
            return self._run(tokens_BL, masked_layout(mask))
        return self._run(tokens_BL, padded_layout(length, tokens_BL.shape[1], tokens_BL.device))

    def decode(
        self,
        tokens_BT: Tensor,
        memory: Tensor | Memory,
        memory_length: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Hidden states (B, T, W) of the second stack, each token seeing those before it and all real memory.

        `memory` (B, S, W) is what `encode` gave, `memory_length` (B,) its real length; or `self.remember(...)` of both.
        With a `cache` the tokens continue those seen before.
        """
        past = cache.length if cache is not None else 0
        self._check_length(past + tokens_BT.shape[1])
        remembered = memory if isinstance(memory, Memory) else self.remember(memory, memory_length)
        layout = plain_layout(tokens_BT.shape[1], past, tokens_BT.device)
        x_BTW, turns = self.embedding(tokens_BT), self.turns[:, layout.positions]
        for layer, (block, memory_of_block) in enumerate(zip(self.decoder_blocks, remembered, strict=True)):
            x_BTW = cast(CrossBlock, block).read(x_BTW, turns, layout, memory_of_block, cache, layer)
        if cache is not None:
            cache.length += tokens_BT.shape[1]
        return self.decoder_norm(x_BTW)

    def remember(self, memory_BSW: Tensor, length: Tensor | None = None) -> Memory:
        """An encoder's states prepared for many calls of `decode`."""
        return Memory(self.decoder_blocks, memory_BSW, length)

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        """One vector (B, W) of `tokens` (B, L) with `length` (B,), by `pooling`.

        Of an encoder_decoder the encoder's; a prefix_decoder takes the whole text as prefix.
        """
        tokens, length = fields["tokens"], fields.get("length")
        hidden = self(tokens) if self.options.architecture == "decoder" else self.encode(tokens, length)
        return pooled(hidden, length, self.options.pooling)

    def generate(
        self,
        tokens_BL: Tensor,
        length: Tensor | None = None,
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        start: Sequence[int] = (0,),
        stop: int | None = None,
    ) -> list[list[int]]:
        """New token ids of each row, without `stop`; see `transformer.generation.generate`."""
        from headwater.models.backbones.transformer.generation import generate

        drawing = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        return generate(self, tokens_BL, length, max_new_tokens, drawing, seed, start, stop)

    def _decoder_layout(
        self, tokens_BL: Tensor, segments_BL: Tensor | None, prefix: Tensor | None, mask: Tensor | None
    ) -> Layout:
        if mask is not None:
            return masked_layout(mask)
        if prefix is not None and segments_BL is not None:
            raise ValueError("a prefix is that of one document per row: name who sees whom of packed samples by `mask`")
        if prefix is not None:
            return prefix_layout(prefix, tokens_BL.shape[1])
        if segments_BL is not None:
            return packed_layout(segments_BL, "sdpa")
        return plain_layout(tokens_BL.shape[1], 0, tokens_BL.device)

    def _run(self, tokens_BL: Tensor, layout: Layout, cache: KeyValueCache | None = None) -> Tensor:
        """The first stack under any layout."""
        self._check_length(tokens_BL.shape[1] + (cache.length if cache is not None else 0))
        return self._through(tokens_BL, layout, cache)
