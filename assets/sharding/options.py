"""What a declaration may say about shards, about mixing them, and about the order in which training reads them."""

from pydantic import Field, field_validator, model_validator

from headwater.models.options import Options

_MEGABYTE = 1_000_000


def _positive(value: float, name: str) -> None:
    if value <= 0:
        raise ValueError(f"{name} is {value:g}: say a number above 0")


class ShardsOptions(Options):
    """How token streams are cut into samples and written."""

    sequence_length: int = Field(default=1024, description="Tokens of one sample.")
    block_samples: int = Field(
        default=128, description="Samples of one block: the least that is read at once from an object store."
    )
    shard_megabytes: float = Field(
        default=64.0, description="Size of one shard file in millions of bytes; at least one block is written."
    )

    @model_validator(mode="after")
    def _sizes_are_positive(self) -> "ShardsOptions":
        if self.sequence_length == 1:
            raise ValueError("sequence_length is 1: a sample needs at least 2 tokens, one to predict the other from")
        for name in ("sequence_length", "block_samples", "shard_megabytes"):
            _positive(getattr(self, name), name)
        return self

    def shard_samples(self, token_bytes: int) -> int:
        """Samples of a full shard: whole blocks, for tokens of `token_bytes` bytes each."""
        block_bytes = self.block_samples * self.sequence_length * token_bytes
        return self.block_samples * max(1, int(self.shard_megabytes * _MEGABYTE) // block_bytes)


class MixtureEntry(Options):
    """One stream of a mixture and its share."""

    stream: str = Field(description="Name of the stream: `<corpus>-train`.")
    weight: float = Field(default=1.0, description="Its share of the samples, relative to the other entries' weights.")

    @field_validator("weight")
    @classmethod
    def _weight_is_positive(cls, value: float) -> float:
        _positive(value, "weight")
        return value


class SamplingOptions(Options):
    """The order in which training reads samples: a permutation that follows from these numbers alone."""

    seed: int = Field(default=0, description="Key of every permutation of the order.")
    window_blocks: int = Field(
        default=64,
        description="Blocks, themselves in random order, whose samples are shuffled together. "
        "Larger mixes better, smaller reads an object store in longer runs.",
    )
    mixture_block: int = Field(
        default=1024,
        description="Samples in which a mixture's shares hold exactly; shares are rounded to one in so many.",
    )

    @model_validator(mode="after")
    def _values_in_range(self) -> "SamplingOptions":
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed {self.seed} is outside 0 to 2^63 - 1")
        for name in ("window_blocks", "mixture_block"):
            _positive(getattr(self, name), name)
        return self
