"""Shards: corpora + tokenizer → tokens → packed, indexed shards that WebDataset reads and training memory-maps.

Where `examples` are declared, one stage makes shards whose samples are single documents.
"""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.references import corpus_asset
from headwater.assets.sharding.declaration import (
    ExampleStageOptions,
    ShardsOptions,
    ShardStageOptions,
    TokensOptions,
)
from headwater.assets.stages import Check, Stage

# What decides a byte of the shards of examples; what describes and reads them is left out.
EXAMPLE_MODULES = ("changes", "documents", "fields", "images", "index", "making", "measuring", "options", "writing")
ENCODING_MODULES = ("tokenization.encoding", "fitting.bpe", "fitting.tokenizers")


class Shards(StageComponent):
    """Tokenizes corpora and packs the tokens into samples of one length, or makes one example of each document;
    writes them as WebDataset tars."""

    options_type: ClassVar[type[ShardsOptions]] = ShardsOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """Two stages, tokens and shards; only shards for examples."""
        if self.options.examples is not None:
            return [self._examples(pipeline)]
        return [self._tokens(pipeline), self._shards(pipeline)]

    def _tokens(self, pipeline: str) -> Stage:
        options: ShardsOptions = self.options
        corpora = self._corpora()
        decided = TokensOptions(
            corpora=[corpus.name for corpus in options.corpora],
            sequence_length=options.sequence_length,
            repack=options.repack,
            tokenizer_drift=options.tokenizer_drift,
        )
        return Stage(
            name=options.name,
            stage="tokens",
            kind="Shards",
            function="headwater.assets.tokenization.stage:materialize_tokens",
            options=decided,
            determining=decided.determining,
            inputs={"tokenizer": f"{options.tokenizer}/tokenizer"} | corpora,
            outside="headwater.assets.sharding.fingerprints:numbering_fingerprint",
            refreshes=("outside", *corpora),
            grows=True,
            modules=(
                "headwater.assets.tokenization",
                "headwater.assets.fitting.bpe",
                "headwater.assets.fitting.tokenizers",
                "headwater.assets.corpus.difference",
            ),
            libraries=("tokenizers",),
            checks=(
                Check("has_training_tokens", "There are tokens to train on.", blocking=True),
                Check("tokenizer_drift", "The tokenizer spells the text about as shortly as when it was fitted."),
            ),
            pipeline=pipeline,
            description=options.description or "Token ids of every kept document, and each document's span.",
            kinds=("lance", "ray"),
            **options.common(),
        )

    def _corpora(self) -> dict[str, str]:
        """The inputs that are corpora: role → asset."""
        return {f"corpus:{corpus.name}": corpus_asset(corpus.name) for corpus in self.options.corpora}

    def _examples(self, pipeline: str) -> Stage:
        options: ShardsOptions = self.options
        assert options.examples is not None
        corpora = self._corpora()
        decided = ExampleStageOptions(
            examples=options.examples,
            block_samples=options.block_samples,
            shard_megabytes=options.shard_megabytes,
            mixture=options.corpora,
            repack=options.repack,
            empty_share=options.empty_share,
        )
        text = options.tokenizer if options.examples.needs_tokenizer else None
        return Stage(
            name=options.name,
            stage="shards",
            kind="Shards",
            function="headwater.assets.sharding.examples.stage:materialize_examples",
            options=decided,
            determining=decided.determining,
            inputs=corpora | ({"tokenizer": f"{text}/tokenizer"} if text else {}),
            outside="headwater.assets.sharding.fingerprints:example_numbering_fingerprint",
            refreshes=("outside", *corpora),
            grows=True,
            modules=(
                *(f"headwater.assets.sharding.examples.{name}" for name in EXAMPLE_MODULES),
                *(f"headwater.assets.sharding.{name}" for name in ("shards", "growth", "holes")),
                "headwater.assets.tokenization.numbering",
                *(f"headwater.assets.{name}" for name in (ENCODING_MODULES if text else ())),
            ),
            libraries=("pillow", "safetensors", *(("tokenizers",) if text else ())),
            checks=(
                Check("whole", "Every document of every stream is one example of the shards.", blocking=True),
                Check("repack", "Few examples are holes of what was withdrawn since the last repack."),
            ),
            pipeline=pipeline,
            description=options.description or "Uncompressed tars of examples, one per document, with an index.",
            kinds=("webdataset", "ray"),
            **options.common(),
        )

    def _shards(self, pipeline: str) -> Stage:
        options: ShardsOptions = self.options
        decided = ShardStageOptions(
            sequence_length=options.sequence_length,
            block_samples=options.block_samples,
            shard_megabytes=options.shard_megabytes,
            mixture=options.corpora,
            empty_share=options.empty_share,
        )
        return Stage(
            name=options.name,
            stage="shards",
            kind="Shards",
            function="headwater.assets.sharding.stage:materialize_shards",
            options=decided,
            determining=decided.determining,
            inputs={"tokens": f"{options.name}/tokens"},
            outside="headwater.assets.sharding.fingerprints:emptiness_fingerprint",
            refreshes=("outside", "tokens"),
            grows=True,
            modules=tuple(
                f"headwater.assets.sharding.{name}" for name in ("packing", "shards", "growth", "holes", "copying")
            ),
            checks=(
                Check("whole", "Every token of every stream is in exactly one shard.", blocking=True),
                Check("repack", "Few samples are empty for what was withdrawn or added since the last repack."),
            ),
            pipeline=pipeline,
            description=options.description or "Uncompressed tars of token blocks, with an index for random access.",
            kinds=("webdataset", "ray"),
            **options.common(),
        )
