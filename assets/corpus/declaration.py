"""What a declaration may say about a whole corpus, and the part of it that each stage depends on."""

from difflib import get_close_matches
from typing import Self

from pydantic import Field, field_validator, model_validator

from headwater.assets.corpus.options import HeldOut, Modality, ReadLimits, Source, modality_of, sources_by_name
from headwater.assets.curation.options import CurationOptions, MediaCurationOptions
from headwater.assets.curation.signals.catalog import MEDIA
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
        modality_of(sources)
        return sources

    @property
    def modality(self) -> Modality:
        """What all documents of the corpus are."""
        return modality_of(self.sources)


class CorpusOptions(ComponentOptions, RawOptions):
    """Documents from sources, measured, curated and deduplicated, with every decision kept."""

    curation: CurationOptions = Field(
        default_factory=CurationOptions, description="Repair, measurements and the rules that drop documents."
    )
    deduplication: DeduplicationOptions = Field(
        default_factory=DeduplicationOptions, description="Which documents count as repetitions of others."
    )

    @model_validator(mode="after")
    def _fits_the_modality(self) -> Self:
        if self.modality == "text":
            self._refuse_rules_over_arrays()
            return self
        if "transforms" in self.curation.model_fields_set and self.curation.transforms:
            raise ValueError(
                f"curation.transforms change text, but these documents are {self.modality}: leave them out"
            )
        if "near" in self.deduplication.model_fields_set and self.deduplication.near is not None:
            raise ValueError(
                f"deduplication.near compares words, but these documents are {self.modality}: leave it out; exact "
                "duplicates are found by their whole content"
            )
        if self.deduplication.decontamination.sets:
            raise ValueError(f"deduplication.decontamination looks for texts, but these documents are {self.modality}")
        return self

    @model_validator(mode="after")
    def _limits_concern_sources(self) -> Self:
        known = [source.name for source in self.sources]
        for name in self.deduplication.max_lost_share_of:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                mend = f"did you mean {close[0]!r}?" if close else f"the sources are {', '.join(known)}"
                raise ValueError(f"deduplication.max_lost_share_of speaks of {name!r}, which is no source; {mend}")
        return self

    def _refuse_rules_over_arrays(self) -> None:
        for rule in (rule for declared in self.curation.rules for rule in declared.limits()):
            if rule.signal in MEDIA:
                raise ValueError(f"rule {rule.name!r} bounds {rule.signal!r}, which documents of text do not have")

    def fitting_curation(self) -> CurationOptions:
        """Curation as it is done: for other modalities than text nothing but what was declared changes or drops."""
        if self.modality == "text":
            return self.curation
        declared = {name: getattr(self.curation, name) for name in self.curation.model_fields_set}
        return MediaCurationOptions(**declared)

    def fitting_deduplication(self) -> DeduplicationOptions:
        """Deduplication as it is done: other modalities than text have exact duplicates only."""
        if self.modality == "text":
            return self.deduplication
        return self.deduplication.model_copy(update={"near": None, "passages": None})

    def raw(self) -> RawOptions:
        """The part that decides what is read."""
        return RawOptions(
            sources=self.sources,
            held_out=self.held_out,
            limits=self.limits,
            max_unreadable_share=self.max_unreadable_share,
        )
