"""What a declaration may say about a whole corpus, and the part of it that each stage depends on."""

from pydantic import Field, field_validator

from headwater.assets.corpus.options import HeldOut, ReadLimits, Source, sources_by_name
from headwater.assets.curation.options import CurationOptions
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.options import ComponentOptions, Options


class RawOptions(Options):
    """What decides the rows of `raw`."""

    sources: list[Source] = Field(description="Where documents come from, in order of precedence among duplicates.")
    held_out: HeldOut = Field(
        default_factory=HeldOut, description="Which documents are kept from training, before anything is fitted."
    )
    limits: ReadLimits = Field(default_factory=ReadLimits, description="Bounds of reading.")
    max_unreadable_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of records that may be unreadable; with more, what is downstream is blocked.",
    )

    @field_validator("sources")
    @classmethod
    def _at_least_one_and_named_apart(cls, sources: list[Source]) -> list[Source]:
        if not sources:
            raise ValueError("a corpus needs at least one source, for example {kind: text_files, path: notes/*.md}")
        sources_by_name(sources)
        return sources


class CorpusOptions(ComponentOptions, RawOptions):
    """Documents from sources, measured, curated and deduplicated, with every decision kept."""

    curation: CurationOptions = Field(
        default_factory=CurationOptions, description="Repair, measurements and the rules that drop documents."
    )
    deduplication: DeduplicationOptions = Field(
        default_factory=DeduplicationOptions, description="Which documents count as repetitions of others."
    )

    def raw(self) -> RawOptions:
        """The part that decides what is read."""
        return RawOptions(
            sources=self.sources,
            held_out=self.held_out,
            limits=self.limits,
            max_unreadable_share=self.max_unreadable_share,
        )
