"""What YAML may say about duplicates and evaluation sets.

Nothing here touches data: thresholds, the form of a shingle, and which evaluation sets training documents must not
contain. Every number that decides stands here with its default, so that a declaration printed whole explains a drop.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from headwater.assets.deduplication.estimate_options import EstimateOptions
from headwater.assets.deduplication.passages_options import PassageOptions
from headwater.assets.deduplication.semantic_options import AngleOptions, HyperplaneOptions
from headwater.models.options import Options


def _share(value: float, name: str | None) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is a share and must lie between 0 and 1, not {value}")
    return value


def _positive(value: int | None, name: str | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")
    return value


_SHARE: dict[str, Any] = {"minimum": 0, "maximum": 1}
_COUNT: dict[str, Any] = {"minimum": 1}


class ExactOptions(Options):
    """When two documents count as the same text."""

    enabled: bool = Field(default=True, description="Find documents whose normalised texts are identical.")
    fold_case: bool = Field(default=True, description="Ignore the case of letters when comparing.")
    fold_whitespace: bool = Field(
        default=True, description="Treat every run of white space as one space and ignore it at both ends."
    )


class MinHashOptions(Options):
    """Candidates for near-duplicates: documents that share a band of their MinHash signatures."""

    kind: Literal["minhash"] = "minhash"
    words: int = Field(
        default=5,
        description="Words in a shingle. Shorter documents are compared exactly only.",
        json_schema_extra=_COUNT,
    )
    threshold: float = Field(
        default=0.7,
        description="Jaccard similarity of shingle sets around which pairs start to become candidates; bands and rows "
        "are derived from it.",
        json_schema_extra=_SHARE,
    )
    permutations: int = Field(default=128, description="Minima in a signature, 4 bytes each.", json_schema_extra=_COUNT)
    bands: int | None = Field(
        default=None, description="Bands of the signature; derived from the threshold when not given."
    )
    rows: int | None = Field(default=None, description="Minima in a band; derived from the threshold when not given.")
    miss_weight: float = Field(
        default=0.9,
        description="How much a missed pair weighs against a needless candidate when bands and rows are derived: "
        "0.5 weighs them alike; more is safer, because a verifier rejects needless candidates.",
        json_schema_extra=_SHARE,
    )
    bucket_width: int = Field(
        default=64,
        description="In a bucket, documents are compared with this many of its earliest ones. Smaller buckets are "
        "compared in full; comparisons left out are counted and reported.",
        json_schema_extra=_COUNT,
    )
    seed: int = Field(default=0, description="Seed of the permutations.")

    @field_validator("words", "permutations", "bands", "rows", "bucket_width")
    @classmethod
    def _check_count(cls, value: int | None, info: Any) -> int | None:
        return _positive(value, info.field_name)

    @field_validator("threshold", "miss_weight")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)

    def model_post_init(self, context: Any) -> None:
        """Refuse bands and rows that the signature can not hold."""
        if (self.bands is None) != (self.rows is None):
            raise ValueError("bands and rows belong together: give both, or neither to have them derived")
        if self.bands is not None and self.rows is not None and self.bands * self.rows > self.permutations:
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows need {self.bands * self.rows} permutations, "
                f"but permutations is {self.permutations}"
            )


Near = Annotated[MinHashOptions | HyperplaneOptions, Field(discriminator="kind")]


class JaccardOptions(Options):
    """A candidate pair is a near-duplicate when its texts share enough of their shingles."""

    kind: Literal["jaccard"] = "jaccard"
    threshold: float = Field(
        default=0.7,
        description="Smallest Jaccard similarity, measured on the whole shingle sets of both texts.",
        json_schema_extra=_SHARE,
    )

    @field_validator("threshold")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)


class EvaluationSetOptions(Options):
    """Texts that must not be trained on."""

    name: str = Field(description="Name of the evaluation set, as the ledger shall show it.")
    path: str = Field(
        description="File or glob (any fsspec URL): *.jsonl holds one item a line, any other file is one item. "
        "Compressed files (gz, bz2, xz, zst) are read as they are."
    )
    fields: tuple[str, ...] = Field(
        default=("text",),
        description="Fields of a JSON line that make up the item, joined in this order; absent ones count for nothing.",
    )


class DecontaminationOptions(Options):
    """Drop training documents that contain long word sequences of evaluation items."""

    sets: tuple[EvaluationSetOptions, ...] = Field(default=(), description="Evaluation sets to keep out of training.")
    words: int = Field(
        default=13, description="Words in a sequence; case and punctuation do not count.", json_schema_extra=_COUNT
    )
    min_words: int = Field(
        default=5,
        description="Items shorter than a sequence are looked for whole, but only from this many words on; still "
        "shorter ones are left out and counted.",
        json_schema_extra=_COUNT,
    )
    min_ngrams: int = Field(
        default=1,
        description="Distinct sequences a document must share with one item to be dropped (an item with fewer: all "
        "of them).",
        json_schema_extra=_COUNT,
    )
    min_share: float = Field(
        default=0.0, description="Share of the item's sequences that must be found as well.", json_schema_extra=_SHARE
    )

    @field_validator("words", "min_words", "min_ngrams")
    @classmethod
    def _check_count(cls, value: int, info: Any) -> int | None:
        return _positive(value, info.field_name)

    @field_validator("min_share")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)

    @field_validator("sets")
    @classmethod
    def _check_names(cls, value: tuple[EvaluationSetOptions, ...]) -> tuple[EvaluationSetOptions, ...]:
        names = [item.name for item in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"evaluation set names must differ; given more than once: {', '.join(twice)}")
        return value


AnyVerifier = Annotated[JaccardOptions | AngleOptions, Field(discriminator="kind")]


class DeduplicationOptions(Options):
    """Which documents repeat others, and which repeat an evaluation set."""

    exact: ExactOptions = Field(default_factory=ExactOptions, description="Identical normalised texts.")
    near: Near | None = Field(
        default_factory=MinHashOptions, description="Candidates for near-duplicates; null looks for exact ones only."
    )
    verifier: AnyVerifier = Field(
        default_factory=JaccardOptions, description="What makes a candidate pair a near-duplicate."
    )
    passages: PassageOptions | None = Field(
        default=None,
        description="Drop documents that mostly repeat passages of earlier ones; null looks at whole documents only.",
    )
    decontamination: DecontaminationOptions = Field(
        default_factory=DecontaminationOptions, description="Evaluation sets kept out of training."
    )
    estimate: EstimateOptions | None = Field(
        default_factory=EstimateOptions,
        description="How each run estimates its own precision and recall; null makes no estimate.",
    )
    max_lost_share: float = Field(
        default=0.5,
        description="A source that loses more than this share of its documents fails the check of this stage.",
        json_schema_extra=_SHARE,
    )
    max_lost_share_of: dict[str, float] = Field(
        default_factory=dict, description="The same for single sources by name, where the general share does not fit."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_kinds(cls, data: Any) -> Any:
        """Without a `kind`, what is said concerns the kind that is used when nothing is said."""
        if not isinstance(data, dict):
            return data
        usual = {"near": MinHashOptions, "verifier": JaccardOptions}
        told = {name: data[name] for name in usual if isinstance(data.get(name), dict)}
        return data | {name: {"kind": usual[name]().kind} | value for name, value in told.items()}

    def model_post_init(self, context: Any) -> None:
        """Refuse a verifier that needs what the candidates do not have."""
        if isinstance(self.near, HyperplaneOptions) and not isinstance(self.verifier, AngleOptions):
            raise ValueError("candidates of kind embedding need the verifier {kind: cosine}")

    @field_validator("max_lost_share")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)

    @field_validator("max_lost_share_of")
    @classmethod
    def _check_shares(cls, value: dict[str, float]) -> dict[str, float]:
        return {source: _share(share, f"max_lost_share_of.{source}") for source, share in value.items()}
