"""A causal decoder transformer whose mathematics is that of the Llama family.

Pre-norm RMSNorm, rotary positions, SwiGLU, grouped-query attention, no biases (Touvron et al. 2023, arXiv:2302.13971;
Ainslie et al. 2023, arXiv:2305.13245). It gives hidden states; the objective decides what to do with them, so that a
large vocabulary's logits need never exist at once. Exported weights load in `transformers` as LlamaForCausalLM.

Shapes: B batch, L length, W width, V vocabulary, H query heads, G key/value heads, D numbers per head.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from headwater.models.backbones.attention import Layout, attend, packed_layout, plain_layout
from headwater.models.backbones.options import DecoderOptions
from headwater.models.backbones.pooling import pooled
from headwater.models.backbones.rotary import rotate
from headwater.models.backbones.token_network import TokenNetwork


class KeyValueCache:
    """Keys and values of the tokens seen so far, for generation: room for `capacity` tokens per row.

    `like` is a tensor of the model's, for its device and type.
    """

    def __init__(self, options: DecoderOptions, batch: int, capacity: int, like: Tensor) -> None:
        shape = (2, options.layers, batch, options.groups, capacity, options.head_width)
        self.stored = torch.zeros(shape, device=like.device, dtype=like.dtype)
        self.length = 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append a layer's new keys and values (B, G, L, D); returns all of that layer so far (B, G, S, D)."""
        end = self.length + keys.shape[2]
        self.stored[0, layer, :, :, self.length : end] = keys
        self.stored[1, layer, :, :, self.length : end] = values
        return self.stored[0, layer, :, :, :end], self.stored[1, layer, :, :, :end]


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        self.head_width = options.head_width
        inner, shared = options.heads * options.head_width, options.groups * options.head_width
        self.query = nn.Linear(options.width, inner, bias=False)
        self.key = nn.Linear(options.width, shared, bias=False)
        self.value = nn.Linear(options.width, shared, bias=False)
        self.output = nn.Linear(inner, options.width, bias=False)

    def forward(
        self, x_BLW: Tensor, turns: Tensor, layout: Layout, cache: KeyValueCache | None = None, layer: int = 0
    ) -> Tensor:
        queries, keys, values = (
            project(x_BLW).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        queries, keys = rotate(queries, turns), rotate(keys, turns)
        if cache is not None:
            keys, values = cache.extend(layer, keys, values)
        return self.output(attend(queries, keys, values, layout).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        self.gate = nn.Linear(options.width, options.inner_width, bias=False)
        self.up = nn.Linear(options.width, options.inner_width, bias=False)
        self.down = nn.Linear(options.inner_width, options.width, bias=False)

    def forward(self, x_BLW: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x_BLW)) * self.up(x_BLW))


class Block(nn.Module):
    """Attention and feed-forward, each on the normalised residual stream and added back to it."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(options.width, eps=options.norm_epsilon)
        self.attention = Attention(options)
        self.feed_forward_norm = nn.RMSNorm(options.width, eps=options.norm_epsilon)
        self.feed_forward = FeedForward(options)

    def forward(
        self, x_BLW: Tensor, turns: Tensor, layout: Layout, cache: KeyValueCache | None = None, layer: int = 0
    ) -> Tensor:
        x_BLW = x_BLW + self.attention(self.attention_norm(x_BLW), turns, layout, cache, layer)
        return x_BLW + self.feed_forward(self.feed_forward_norm(x_BLW))


class Decoder(TokenNetwork):
    """The transformer: token ids in, hidden states out, logits on request.

    Weights are undefined until `initialise` or `load_state_dict`. A model built on the meta device is made real by
    `to_empty(device=...)` followed by `initialise(seed)`.
    """

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(options.vocabulary_size, options.width)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.layers))
        self.norm = nn.RMSNorm(options.width, eps=options.norm_epsilon)
        self.head = None if options.tied else nn.Linear(options.width, options.vocabulary_size, bias=False)
        self.register_buffer("turns", self._turns(self.embedding.weight.device), persistent=False)

    def forward(
        self, tokens_BL: Tensor, segments_BL: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Normalised hidden states (B, L, W) of token ids (B, L).

        `segments_BL` numbers the documents of packed samples: attention stays inside a document and positions restart
        with it. With a `cache` the tokens continue those seen before. Raises ValueError past the context length.
        """
        past = cache.length if cache is not None else 0
        length = tokens_BL.shape[1]
        self._check_length(past + length)
        if segments_BL is not None and cache is not None:
            raise ValueError("a cache continues one document per row: segments cannot be given with it")
        layout = (
            plain_layout(length, past, tokens_BL.device)
            if segments_BL is None
            else packed_layout(segments_BL, self.options.attention)
        )
        return self._through(tokens_BL, layout, cache)

    def embed(self, fields: Mapping[str, Tensor]) -> Tensor:
        """Mean (B, W) of the hidden states of `tokens` (B, L), padding after `length` (B,) left out."""
        return pooled(self(fields["tokens"]), fields.get("length"), "mean")


def build_decoder(options: DecoderOptions, seed: int, device: str | torch.device = "cpu") -> Decoder:
    """A decoder with freshly drawn weights."""
    with torch.device("meta"):
        model = Decoder(options)
    return model.to_empty(device=device).initialise(seed)


def parameter_count(options: DecoderOptions) -> dict[str, int]:
    """Weights of a decoder: `embedding` (input and, when untied, output), `hidden` (all else) and `total`."""
    embedding = options.vocabulary_size * options.width * (1 if options.tied else 2)
    projections = 2 * options.width * options.head_width * (options.heads + options.groups)
    block = projections + 3 * options.width * options.inner_width + 2 * options.width
    hidden = options.layers * block + options.width
    return {"embedding": embedding, "hidden": hidden, "total": embedding + hidden}


def flops_per_token(options: DecoderOptions, length: int) -> int:
    """Floating-point operations of forward and backward per token of a sample of `length` tokens.

    6 per weight that multiplies, the output matrix included and the embedding look-up not, and 12 x layers x width x
    length for the attention scores, causality not deducted (Chowdhery et al. 2022, arXiv:2204.02311, appendix B).
    """
    multiplied = parameter_count(options)["hidden"] + options.vocabulary_size * options.width
    return 6 * multiplied + 12 * options.layers * options.heads * options.head_width * length
