"""What an evaluation found, as one document that needs nothing but JSON to be read, and its tables for people.

A figure that could not be measured is null, never NaN: a reader in any language meets either a number or the statement
that there is none. The conventions behind the numbers travel with them in `conventions`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

CONVENTIONS = {
    "bits_per_byte": "Sum of -log2 p over the tokens of each document and its closing end-of-text token, divided by "
    "the UTF-8 bytes of the texts.",
    "interval": "Bootstrap over whole groups (packages, sites); null for fewer than two groups.",
    "perplexity": "Per coded token, the closing end-of-text included; it depends on the tokenizer.",
    "unigram": "Tokens coded independently with smoothed training frequencies.",
    "compressors": "per_document: each document alone. stream: the documents in order, each followed by one NUL byte. "
    "bits_per_byte: the smaller of the two. The denominator is the bytes of the texts alone.",
    "cloze": "The choice with the highest mean log-probability per token of the continuation given the passage; all "
    "choices have equally many tokens, so the total decides alike. Wilson interval.",
}


def finite(value: float | None) -> float | None:
    """Return a finite number as it is, and None for infinity and not-a-number."""
    return float(value) if value is not None and math.isfinite(value) else None


class _Record(BaseModel):
    """Closed, immutable, and without NaN: what `to_json` writes, `from_json` reads back equal."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(_Record):
    """A confidence interval."""

    low: float
    high: float


class BaselineResult(_Record):
    """One yardstick on one source; `per_document` and `stream` only for compressors."""

    name: str
    bits_per_byte: float | None
    per_document: float | None = None
    stream: float | None = None


class SourceResult(_Record):
    """The model on one source, or on all of them together (then named `all`)."""

    source: str
    documents: int
    groups: int
    bytes: int
    tokens: int
    bits_per_byte: float | None
    interval: Interval | None = None
    perplexity: float | None = None
    baselines: list[BaselineResult] = []

    def baseline(self, name: str) -> BaselineResult | None:
        """Return the named yardstick, or None when it was not measured."""
        return next((result for result in self.baselines if result.name == name), None)


class ClozeResult(_Record):
    """Multiple-choice cloze. `wanted` questions were asked for, `items` could be built."""

    wanted: int
    items: int
    too_short: int = Field(description="Documents met that are shorter than passage and continuation together.")
    without_choices: int = Field(description="Documents met whose source has too few other documents to draw from.")
    choices: int
    chance: float
    correct: int
    accuracy: float | None
    interval: Interval
    enough: bool = Field(description="Whether there were enough questions for a verdict.")


class Sample(_Record):
    """A prompt and how the model went on; `doc_id` where the prompt is the beginning of a held-out document."""

    prompt: str
    continuation: str
    doc_id: str | None = None
    source: str | None = None
    ended: bool = Field(default=False, description="Whether the model itself ended the document.")


class CheckOutcome(_Record):
    """One verdict on the checkpoint. A blocking one that did not pass stops what is downstream."""

    name: str
    passed: bool
    blocking: bool
    description: str
    metadata: Mapping[str, float | int | str | None] = {}


class Report(_Record):
    """Everything one evaluation of one checkpoint found."""

    conventions: dict[str, str] = CONVENTIONS
    overall: SourceResult
    sources: list[SourceResult]
    gains: dict[str, Interval | None] = Field(
        {}, description="For each baseline: interval of the bits per byte that the model saves, paired by document."
    )
    not_finite: list[str] = Field(default=[], description="Ids of documents whose cost is no finite number.")
    cloze: ClozeResult | None = None
    samples: list[Sample] = []
    checks: list[CheckOutcome] = []

    def to_json(self) -> str:
        """Return the report as indented JSON, the same text for the same findings."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str | Path = "report.json") -> "Report":
        """Read what `to_json` wrote.

        Raises:
            ValueError: the text is no report; names `origin` and the first field at fault.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the document"
            raise ValueError(f"{origin}: {where}: {first['msg']}; materialize the evaluation again") from None

    def metrics(self) -> dict[str, float]:
        """Return the figures worth a curve over time, by flat name; those that could not be measured are left out."""
        figures: dict[str, float | None] = {}
        for result in [self.overall, *self.sources]:
            prefix = "" if result is self.overall else f"{result.source}/"
            figures[f"{prefix}bits_per_byte"] = result.bits_per_byte
            figures[f"{prefix}perplexity"] = result.perplexity
            for yardstick in result.baselines:
                figures[f"{prefix}{yardstick.name}_bits_per_byte"] = yardstick.bits_per_byte
        if self.cloze is not None:
            figures["cloze_accuracy"] = self.cloze.accuracy
        return {name: value for name, value in figures.items() if value is not None}
