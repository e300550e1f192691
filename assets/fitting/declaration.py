"""What a declaration may say about a fit: on which corpus, and which thing is fitted."""

from pydantic import Field

from headwater.assets.fitting.options import ByteLevelBpeOptions, TokenizerOptions
from headwater.assets.options import NAME, ComponentOptions, Options


class FitStageOptions(Options):
    """What decides the fitted thing."""

    fit: TokenizerOptions = Field(
        default_factory=ByteLevelBpeOptions, description="What is fitted: a tokenizer, or one's own tokenizer.json."
    )


class FitOptions(ComponentOptions, FitStageOptions):
    """A versioned thing fitted on a corpus: here, a tokenizer."""

    corpus: str = Field(pattern=NAME, description="Corpus whose deduplicated training documents it is fitted on.")

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        return [(("corpus",), "Corpus", self.corpus)]
