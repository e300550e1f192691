"""Shards: corpora + tokenizer → tokens → packed, indexed shards that WebDataset reads and training memory-maps."""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.sharding.declaration import ShardsOptions, ShardStageOptions, TokensOptions
from headwater.assets.stages import Check, Stage


class Shards(StageComponent):
    """Tokenizes corpora, packs the tokens into samples of one length, and writes them as WebDataset tars."""

    options_type: ClassVar[type[ShardsOptions]] = ShardsOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """Two stages: tokens and shards."""
        return [self._tokens(pipeline), self._shards(pipeline)]

    def _tokens(self, pipeline: str) -> Stage:
        options: ShardsOptions = self.options
        names = [corpus.name for corpus in options.corpora]
        corpora = {f"corpus:{name}": f"{name}/deduplicated" for name in names}
        decided = TokensOptions(
            corpora=names,
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
            modules=tuple(f"headwater.assets.sharding.{name}" for name in ("packing", "shards", "growth", "holes")),
            checks=(
                Check("whole", "Every token of every stream is in exactly one shard.", blocking=True),
                Check("repack", "Few samples are empty for what was withdrawn or added since the last repack."),
            ),
            pipeline=pipeline,
            description=options.description or "Uncompressed tars of token blocks, with an index for random access.",
            kinds=("webdataset", "ray"),
            **options.common(),
        )
