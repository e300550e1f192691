"""What a declaration may say about a selection: of which corpus, by what."""

from typing import Any

from pydantic import Field

from headwater.assets import selection
from headwater.assets.annotation.declaration import round_inputs, round_references
from headwater.assets.annotation.options import PassThrough, Split
from headwater.assets.options import ComponentOptions, Options
from headwater.assets.references import REFERENCE, corpus_asset
from headwater.assets.selection.options import SelectorOptions
from headwater.models.discovery import choice

Selector: Any = choice(selection.__name__, SelectorOptions)


class SelectionStageOptions(Options):
    """What decides which documents go on."""

    selector: Selector = Field(description="How documents are chosen.")
    split: Split = Field("train", description="The documents among which is chosen; the others go on as they are.")
    passes_through_when: PassThrough | None = Field(
        None, description="The stop rule of a loop: this round then passes a corpus on; unset: it always selects."
    )
    compared_with: str | None = Field(
        None,
        pattern=REFERENCE,
        description="An earlier choice among the same documents, in full: `coreset/selected`. The figure "
        "`shared_with_earlier` then says how much of both choices is common (intersection over union).",
    )

    @property
    def determining(self) -> dict[str, Any]:
        """What the decisions depend on, as JSON values."""
        said = self.model_dump(mode="json", exclude={"selector"})
        return said | {"selector": self.selector.model_dump(mode="json")}


class SelectionOptions(ComponentOptions, SelectionStageOptions):
    """Which documents of a corpus go on: a coreset, the best by a score, a random share, or all but some clusters."""

    corpus: str = Field(
        pattern=REFERENCE, description="The corpus: the name of a Corpus, or in full `NAME/annotated`, `NAME/selected`."
    )

    def inputs(self) -> dict[str, str]:
        """What it reads, by role; the corpus comes first."""
        earlier = {"earlier": corpus_asset(self.compared_with)} if self.compared_with else {}
        own = {"corpus": corpus_asset(self.corpus)} | self.selector.inputs()
        return own | round_inputs(self.passes_through_when) | earlier

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        own = [(("selector", *where), kind, name) for where, kind, name in self.selector.references()]
        if self.compared_with:
            own.append((("compared_with",), "Corpus", self.compared_with))
        return [(("corpus",), "Corpus", self.corpus), *own, *round_references(self.passes_through_when)]
