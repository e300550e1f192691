"""What YAML may say about an evaluation: which held-out text is measured, against what, and what must hold."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic.config import JsonDict

from headwater.assets.options import Options

Consequence = Literal["block", "warn", "show"]

# Bounds are checked by validators, not by Field(ge=...): a Dagster component also accepts a template string in place of
# a number, and a bound on the field would be applied to that string. `minimum` still reaches the editor's schema.
_POSITIVE: JsonDict = {"exclusiveMinimum": 0}
_AT_LEAST_ONE: JsonDict = {"minimum": 1}
_SHARE: JsonDict = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
_CHECK = (
    "`block`: a model that does not beat this baseline is not promoted; `warn`: it is marked; `show`: the figure is "
    "only shown."
)


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError(f"must be greater than 0, got {value}")
    return value


def _between_0_and_1(value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"must lie strictly between 0 and 1 (0.95 means 95 %), got {value}")
    return value


class BitsPerByteOptions(Options):
    """How many bits the model needs for each byte of held-out text, with an interval."""

    max_megabytes_per_source: float = Field(
        default=1.0,
        description="Held-out text scored of each source, in megabytes (10^6 bytes of UTF-8). Documents are taken in "
        "the order of a hash of their id, so a new document displaces few others.",
        json_schema_extra=_POSITIVE,
    )
    resamples: int = Field(
        default=1000,
        description="Bootstrap resamples of whole groups (packages, sites) behind each interval.",
        json_schema_extra=_AT_LEAST_ONE,
    )
    confidence: float = Field(
        default=0.95, description="Coverage of the intervals, between 0 and 1.", json_schema_extra=_SHARE
    )
    seed: int = Field(default=0, description="Seed of the choice of documents and of the resampling.")
    limit: float | None = Field(
        default=None,
        description="Most bits per byte over all sources that the check `bits_per_byte_limit` lets pass, if any.",
    )

    _check_positive = field_validator("max_megabytes_per_source", "resamples")(_positive)
    _check_share = field_validator("confidence")(_between_0_and_1)


class Baseline(Options):
    """What every yardstick shares: whether the model has to beat it."""

    check: Consequence = Field(
        default="show",
        description=_CHECK,
    )
    margin: float = Field(
        default=0.0, description="Bits per byte by which the model has to be better for the check to pass."
    )


class UnigramBaseline(Baseline):
    """Tokens drawn independently with their training frequencies: what a model that ignores context reaches."""

    kind: Literal["unigram"] = "unigram"
    check: Consequence = Field(
        default="block",
        description=_CHECK,
    )
    smoothing: float = Field(
        default=1.0,
        description="Count added to every token of the vocabulary, so that an unseen token has a finite cost.",
        json_schema_extra=_POSITIVE,
    )

    _check_positive = field_validator("smoothing")(_positive)


class GzipBaseline(Baseline):
    """gzip (DEFLATE, a window of 32 KiB) on the same bytes."""

    kind: Literal["gzip"] = "gzip"
    level: int = Field(
        default=9, description="Compression level, 1 to 9.", json_schema_extra={"minimum": 1, "maximum": 9}
    )

    @field_validator("level")
    @classmethod
    def _check_level(cls, value: int) -> int:
        if not 1 <= value <= 9:
            raise ValueError(f"gzip has the levels 1 to 9, got {value}")
        return value


class XzBaseline(Baseline):
    """xz (LZMA2) on the same bytes at its strongest preset, `-9e`."""

    kind: Literal["xz"] = "xz"


AnyBaseline = Annotated[UnigramBaseline | GzipBaseline | XzBaseline, Field(discriminator="kind")]


class HeldOutPrompts(Options):
    """Prompts that are the beginnings of held-out documents, sources taken in turn."""

    kind: Literal["held_out"] = "held_out"
    count: int = Field(default=4, description="Number of prompts.", json_schema_extra=_AT_LEAST_ONE)
    tokens: int = Field(default=32, description="Length of each prompt, in tokens.", json_schema_extra=_AT_LEAST_ONE)

    _check_positive = field_validator("count", "tokens")(_positive)


class GivenPrompts(Options):
    """Prompts written by hand."""

    kind: Literal["given"] = "given"
    texts: list[str] = Field(description="The prompts; an empty one lets the model begin a document by itself.")


AnyPrompts = Annotated[HeldOutPrompts | GivenPrompts, Field(discriminator="kind")]


class GenerationOptions(Options):
    """Samples of text to read: no measurement, but what people look at first."""

    prompts: AnyPrompts = Field(default_factory=HeldOutPrompts, description="Where the prompts come from.")
    max_new_tokens: int = Field(
        default=128, description="Longest continuation, in tokens.", json_schema_extra=_AT_LEAST_ONE
    )
    temperature: float = Field(
        default=0.8,
        description="Logits are divided by this; 0 takes the likeliest token.",
        json_schema_extra={"minimum": 0},
    )
    top_p: float = Field(
        default=0.95,
        description="Only the likeliest tokens that together reach this probability are drawn from: above 0, to 1.",
        json_schema_extra={"exclusiveMinimum": 0, "maximum": 1},
    )
    seed: int = Field(default=0, description="Seed of the choice of prompts; the n-th prompt samples with seed + n.")

    _check_positive = field_validator("max_new_tokens")(_positive)

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        if self.temperature < 0:
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        return self


class ClozeOptions(Options):
    """Which continuation belongs to this passage? Multiple choice built from held-out documents."""

    items: int = Field(
        default=200, description="Questions wanted, at most one of each document.", json_schema_extra=_AT_LEAST_ONE
    )
    choices: int = Field(
        default=4, description="Continuations to choose from, the true one included.", json_schema_extra={"minimum": 2}
    )
    context_tokens: int = Field(
        default=64, description="Length of the passage, in tokens.", json_schema_extra=_AT_LEAST_ONE
    )
    continuation_tokens: int = Field(
        default=32, description="Length of each continuation, in tokens.", json_schema_extra=_AT_LEAST_ONE
    )
    max_megabytes_per_source: float = Field(
        default=8.0,
        description="Held-out text of each source that passages are drawn from, in megabytes (10^6 bytes): more than "
        "is scored for bits per byte, as only the passages are read.",
        json_schema_extra=_POSITIVE,
    )
    min_items: int = Field(
        default=20, description="With fewer questions than this there is no verdict.", json_schema_extra=_AT_LEAST_ONE
    )
    confidence: float = Field(
        default=0.95, description="Coverage of the accuracy's interval, between 0 and 1.", json_schema_extra=_SHARE
    )
    seed: int = Field(default=0, description="Seed of the passages and of the wrong continuations.")
    check: Consequence = Field(
        default="warn",
        description="What follows when the interval's lower end is not above chance: `block`, `warn` or `show`.",
    )

    _check_positive = field_validator(
        "items", "context_tokens", "continuation_tokens", "max_megabytes_per_source", "min_items"
    )(_positive)
    _check_share = field_validator("confidence")(_between_0_and_1)

    @field_validator("choices")
    @classmethod
    def _check_choices(cls, value: int) -> int:
        if value < 2:
            raise ValueError(f"a question needs at least 2 choices, got {value}")
        return value


def _default_baselines() -> list[AnyBaseline]:
    return [UnigramBaseline(), GzipBaseline(), XzBaseline()]


class EvaluationOptions(Options):
    """Everything measured on a checkpoint. Leave out `cloze` or `generation` with `null`."""

    bits_per_byte: BitsPerByteOptions = Field(
        default_factory=BitsPerByteOptions, description="Compression of held-out text: the main measurement."
    )
    baselines: list[AnyBaseline] = Field(
        default_factory=_default_baselines, description="What the bits per byte stand beside, on the same documents."
    )
    generation: GenerationOptions | None = Field(
        default_factory=GenerationOptions, description="Samples of generated text, or null for none."
    )
    cloze: ClozeOptions | None = Field(
        default_factory=ClozeOptions, description="Multiple-choice cloze, or null for none."
    )

    @field_validator("baselines")
    @classmethod
    def _check_baselines(cls, value: list[AnyBaseline]) -> list[AnyBaseline]:
        kinds = [baseline.kind for baseline in value]
        repeated = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if repeated:
            raise ValueError(f"each baseline may be listed once; listed more than once: {', '.join(repeated)}")
        return value
