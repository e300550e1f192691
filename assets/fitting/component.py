"""Fit: corpus → a fitted, versioned tokenizer, refreshed when declared and never by itself."""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.fitting.declaration import FitOptions, FitStageOptions
from headwater.assets.stages import Stage

# What decides a tokenizer; how texts are encoded by it is left out.
FIT_MODULES = (
    "byte_level_bpe",
    "sample",
    "tokenizers",
    "word_counts",
    "merge_learning",
    "waiting_pairs",
    "bpe.machine",
    "bpe.patterns",
    "bpe.table",
    "bpe.words",
)


class Fit(StageComponent):
    """Fits a tokenizer on the training documents of a corpus, or takes one's own `tokenizer.json`."""

    options_type: ClassVar[type[FitOptions]] = FitOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """One stage: tokenizer."""
        options: FitOptions = self.options
        decided = FitStageOptions(fit=options.fit, refit=options.refit)
        return [
            Stage(
                name=options.name,
                stage="tokenizer",
                kind="Fit",
                function="headwater.assets.fitting.stage:materialize_tokenizer",
                options=decided,
                determining=decided.determining,
                hold="headwater.assets.fitting.hold:hold_tokenizer",
                inputs={"corpus": f"{options.corpus}/deduplicated"},
                outside="headwater.assets.fitting.outside:look_at_file",
                modules=tuple(f"headwater.assets.fitting.{name}" for name in FIT_MODULES),
                libraries=("tokenizers",),
                pipeline=pipeline,
                description=options.description or "The tokenizer, as `tokenizer.json` that any library reads.",
                kinds=("tokenizer",),
                **options.common(),
            )
        ]
