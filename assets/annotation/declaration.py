"""What a declaration may say about an annotation: of which corpus, by what, and which documents are then kept."""

from typing import Any

from pydantic import Field

from headwater.assets import annotation
from headwater.assets.annotation.options import AnnotatorOptions, KeepRule, PassThrough, Split
from headwater.assets.options import ANY_COMPONENT, ComponentOptions, Options
from headwater.assets.references import REFERENCE, corpus_asset
from headwater.models.discovery import choice

Annotator: Any = choice(annotation.__name__, AnnotatorOptions)


class AnnotationStageOptions(Options):
    """What decides the annotations and which documents go on."""

    annotator: Annotator = Field(description="What annotates: a rule, a function of one's own, or a checkpoint.")
    keep: list[KeepRule] = Field(
        [], description="Drops documents by what was said of them; all that reached this asset go on when it is empty."
    )
    split: Split = Field("train", description="The documents that `keep` may drop; the others go on as they are.")
    passes_through_when: PassThrough | None = Field(
        None, description="The stop rule of a loop: this round then annotates nothing; unset: it always annotates."
    )

    @property
    def determining(self) -> dict[str, Any]:
        """What the tables depend on, as JSON values."""
        said = self.model_dump(mode="json", exclude={"annotator"})
        return said | {"annotator": self.annotator.model_dump(mode="json")}


class AnnotationOptions(ComponentOptions, AnnotationStageOptions):
    """What a checkpoint or a rule says of each document: labels, scores, captions or vectors beside the corpus."""

    corpus: str = Field(
        pattern=REFERENCE, description="The corpus: the name of a Corpus, or in full `NAME/annotated`, `NAME/selected`."
    )

    def inputs(self) -> dict[str, str]:
        """What it reads, by role; the corpus comes first."""
        return {"corpus": corpus_asset(self.corpus)} | self.annotator.inputs() | round_inputs(self.passes_through_when)

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        own = [(("annotator", *where), kind, name) for where, kind, name in self.annotator.references()]
        return [(("corpus",), "Corpus", self.corpus), *own, *round_references(self.passes_through_when)]


def round_inputs(stop: PassThrough | None) -> dict[str, str]:
    """The inputs of a stop rule by role."""
    if stop is None:
        return {}
    return {"stop": stop.asset} | ({"take": corpus_asset(stop.take)} if stop.take else {})


def round_references(stop: PassThrough | None) -> list[tuple[tuple[int | str, ...], str, str]]:
    """What a stop rule names."""
    if stop is None:
        return []
    taken = [(("passes_through_when", "take"), "Corpus", stop.take)] if stop.take else []
    return [(("passes_through_when", "asset"), ANY_COMPONENT, stop.asset), *taken]
