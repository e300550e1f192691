"""What a declaration may say about a fit: on which corpus, and which thing is fitted."""

from typing import Any, Literal

from pydantic import Field

from headwater.assets.fitting.options import ByteLevelBpeOptions, TokenizerOptions
from headwater.assets.options import NAME, ComponentOptions, Options


class RefitOptions(Options):
    """When a fitted thing follows its corpus."""

    when: Literal["declared", "content"] = Field(
        "declared",
        description="`declared`: it stays when its corpus changes, until `edition` is raised; shards and checkpoints "
        "rest on it. `content`: it is fitted again whenever the documents of its corpus change.",
    )
    edition: int = Field(1, description="Another number here fits it again on the documents of that day.")


class FitStageOptions(Options):
    """What decides the fitted thing."""

    fit: TokenizerOptions = Field(
        default_factory=ByteLevelBpeOptions, description="What is fitted: a tokenizer, or one's own tokenizer.json."
    )
    refit: RefitOptions = Field(
        default_factory=RefitOptions, description="Whether and when it is fitted again after its corpus changed."
    )

    @property
    def determining(self) -> dict[str, Any]:
        """What the fitted thing depends on; when it follows its corpus is another matter."""
        return {"fit": self.fit.model_dump(mode="json"), "edition": self.refit.edition}


class FitOptions(ComponentOptions, FitStageOptions):
    """A versioned thing fitted on a corpus: here, a tokenizer."""

    corpus: str = Field(pattern=NAME, description="Corpus whose deduplicated training documents it is fitted on.")

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        return [(("corpus",), "Corpus", self.corpus)]
