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


class RareWordsOptions(Options):
    """Candidates for near-duplicates: documents that share a band of a sketch of their words, rare ones first.

    A sketch is a MinHash over single words, each with a weight that the fit gives it: words that survive edits all
    over a text, which shingles do not.
    """

    kind: Literal["rare_words"] = "rare_words"
    bands: int = Field(default=24, description="Bands of a sketch, 8 bytes each.", json_schema_extra=_COUNT)
    rows: Literal[2, 3, 4] = Field(default=4, description="Minima in a band; more make fewer candidates.")
    least_agreement: float = Field(
        default=0.4,
        description="Candidates whose sketches agree in a smaller share of their minima are not read.",
        json_schema_extra=_SHARE,
    )
    min_words: int = Field(
        default=12, description="Documents with fewer words are compared exactly only.", json_schema_extra=_COUNT
    )
    max_words: int = Field(
        default=2_000_000,
        description="Documents with more words are compared exactly only: it bounds the memory of a comparison.",
        json_schema_extra=_COUNT,
    )
    bucket_width: int = Field(
        default=64,
        description="In a bucket, documents are compared with this many of its earliest ones. Smaller buckets are "
        "compared in full; comparisons left out are counted and reported.",
        json_schema_extra=_COUNT,
    )
    seed: int = Field(default=0, description="Seed of the sketches.")

    @field_validator("bands", "min_words", "max_words", "bucket_width")
    @classmethod
    def _check_count(cls, value: int | None, info: Any) -> int | None:
        return _positive(value, info.field_name)

    @field_validator("least_agreement")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)


class AlignmentOptions(Options):
    """A candidate pair is a near-duplicate when its texts can be aligned: most words have a counterpart among words in
    the same order, and what has none is spread out instead of being a block of something else."""

    kind: Literal["alignment"] = "alignment"
    threshold: float = Field(
        default=0.62,
        description="Smallest similarity: the share of both texts' words that have a counterpart, by weight.",
        json_schema_extra=_SHARE,
    )
    longest_foreign: float = Field(
        default=0.22,
        description="Largest share of either text that one block without counterparts may take, by weight.",
        json_schema_extra=_SHARE,
    )
    boilerplate_weight: float = Field(
        default=0.2,
        description="Weight of words in phrases that the fit finds common, such as licences; others weigh 1.",
        json_schema_extra=_SHARE,
    )

    @field_validator("threshold", "longest_foreign", "boilerplate_weight")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)


class FitOptions(Options):
    """What is counted to tell common words and phrases: by a full run, for it and for the refreshes that follow."""

    documents: int = Field(
        default=4096, description="Documents in the sample, 32,767 at most; all, if there are fewer."
    )
    bytes_of_each: int = Field(
        default=32_768, description="Leading bytes of each sampled document that are counted.", json_schema_extra=_COUNT
    )
    words: int = Field(default=5, description="Words in a phrase.", json_schema_extra=_COUNT)
    min_documents: int = Field(
        default=6,
        description="Documents of the sample that a phrase must occur in to be boilerplate.",
        json_schema_extra=_COUNT,
    )
    min_share: float = Field(
        default=0.0015, description="Share of the sample that it must occur in as well.", json_schema_extra=_SHARE
    )
    edition: int = Field(default=0, description="Another number has the fit made anew, by a full run.")

    @field_validator("documents")
    @classmethod
    def _check_documents(cls, value: int) -> int:
        if not 1 <= value <= 32_767:
            raise ValueError(f"documents must lie between 1 and 32767, not {value}")
        return value

    @field_validator("bytes_of_each", "words", "min_documents")
    @classmethod
    def _check_count(cls, value: int | None, info: Any) -> int | None:
        return _positive(value, info.field_name)

    @field_validator("min_share")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)


class JaccardOptions(Options):
    """A candidate pair is a near-duplicate when its texts share enough of their shingles."""

    kind: Literal["jaccard"] = "jaccard"
    threshold: float = Field(
        default=0.7,
        description="Smallest Jaccard similarity, measured on the whole shingle sets of both texts.",
        json_schema_extra=_SHARE,
    )
    words: int = Field(default=5, description="Words in a shingle.", json_schema_extra=_COUNT)

    @field_validator("words")
    @classmethod
    def _check_count(cls, value: int | None, info: Any) -> int | None:
        return _positive(value, info.field_name)

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


Near = Annotated[RareWordsOptions | MinHashOptions | HyperplaneOptions, Field(discriminator="kind")]
AnyVerifier = Annotated[AlignmentOptions | JaccardOptions | AngleOptions, Field(discriminator="kind")]


class DeduplicationOptions(Options):
    """Which documents repeat others, and which repeat an evaluation set."""

    exact: ExactOptions = Field(default_factory=ExactOptions, description="Identical normalised texts.")
    near: Near | None = Field(
        default_factory=RareWordsOptions,
        description="How candidates for near-duplicates are found; null looks for exact copies only.",
    )
    verifier: AnyVerifier = Field(
        default_factory=AlignmentOptions, description="What makes a candidate pair a near-duplicate."
    )
    fit: FitOptions = Field(
        default_factory=FitOptions, description="How common words and phrases of the corpus are told."
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
        usual = {"near": RareWordsOptions, "verifier": AlignmentOptions}
        told = {name: data[name] for name in usual if isinstance(data.get(name), dict)}
        return data | {name: {"kind": usual[name]().kind} | value for name, value in told.items()}

    @model_validator(mode="after")
    def _finds_what_it_accepts(self) -> "DeduplicationOptions":
        """Both of these thresholds are of the same similarity; other pairs of `near` and `verifier` are not."""
        near, verifier = self.near, self.verifier
        if not isinstance(near, MinHashOptions) or not isinstance(verifier, JaccardOptions) or near.bands is not None:
            return self
        if near.threshold > verifier.threshold:
            raise ValueError(
                f"near.threshold is {near.threshold:g}, above verifier.threshold {verifier.threshold:g}: pairs in "
                f"between are duplicates but would seldom be looked at. Make it {verifier.threshold:g} or less."
            )
        return self

    @property
    def needs_fit(self) -> bool:
        """Whether candidates or verifier weigh by what is common in the corpus."""
        return isinstance(self.near, RareWordsOptions) or (
            self.near is not None and isinstance(self.verifier, AlignmentOptions)
        )

    @field_validator("max_lost_share")
    @classmethod
    def _check_share(cls, value: float, info: Any) -> float:
        return _share(value, info.field_name)

    @field_validator("max_lost_share_of")
    @classmethod
    def _check_shares(cls, value: dict[str, float]) -> dict[str, float]:
        return {source: _share(share, f"max_lost_share_of.{source}") for source, share in value.items()}
