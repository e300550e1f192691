"""What a declaration may say about training again on refreshed data, and about which checkpoint becomes current."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from headwater.assets.options import Options
from headwater.assets.training.cron import parse_cron


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


class RetrainWhen(Options):
    """When a checkpoint follows its refreshed shards: one condition is enough; with none, by hand only."""

    new_tokens_share: float | None = Field(
        default=None,
        description="Retrain once the training tokens that the checkpoint's shards lacked are at least this share of "
        "those they had (0.05: a twentieth).",
    )
    cron: str | None = Field(
        default=None,
        description="Retrain on changed shards at the first materialization after these times (five fields, UTC), "
        "counted from when the checkpoint was begun: `0 3 * * 0` is Sundays at 3:00.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _require(
            self.new_tokens_share is None or self.new_tokens_share > 0,
            "new_tokens_share must be greater than 0; leave out the whole `retrain` block to retrain at every change",
        )
        if self.cron is not None:
            parse_cron(self.cron)
        return self


class FromScratch(Options):
    """Train anew, from the first step, on all of the refreshed shards."""

    kind: Literal["scratch"] = Field(default="scratch", description="Every retraining begins at step 0.")


class Continued(Options):
    """Go on at the constant rate of the infinite schedule, on new samples and a replay of old ones."""

    kind: Literal["continue"] = Field(
        default="continue", description="Every retraining goes on from the last state before annealing."
    )
    replay_share: float = Field(
        default=0.25,
        description="Share of samples drawn from those that earlier shards had already. Ibrahim et al. 2024 use 0.05 "
        "for a weak shift of the data and 0.25 for a strong one.",
    )
    steps: int | None = Field(
        default=None,
        description="Steps at the constant rate on the new segment; unset: as `tokens_per_new_token` says. The "
        "schedule's annealing comes on top.",
    )
    tokens_per_new_token: float = Field(
        default=2.0,
        description="Tokens trained on at the constant rate for each new token, replayed ones included: with a "
        "replay share of 0.25, 2 reads every new token 1.5 times.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _require(0 <= self.replay_share < 1, "replay_share must be at least 0 and less than 1")
        _require(self.steps is None or self.steps >= 1, "steps must be at least 1")
        _require(self.tokens_per_new_token > 0, "tokens_per_new_token must be greater than 0")
        return self


RetrainHow = Annotated[FromScratch | Continued, Field(discriminator="kind")]


class RetrainOptions(Options):
    """When and how a checkpoint follows its refreshed shards. Without this block it is trained anew at every change."""

    when: RetrainWhen = Field(default=RetrainWhen(), description="What it waits for; by hand only when left out.")
    how: RetrainHow = Field(
        default=FromScratch(), description="`scratch`, `continue`, or the latter with its options: {kind: continue, …}."
    )

    @field_validator("how", mode="before", json_schema_input_type=RetrainHow | Literal["scratch", "continue"])
    @classmethod
    def _a_word_is_enough(cls, how: Any) -> Any:
        return {"kind": how} if isinstance(how, str) else how


class PromoteOptions(Options):
    """What a new checkpoint must hold against the current one to take its place."""

    max_worse: float = Field(
        default=0.01,
        description="Bits per byte by which it may be worse on the held-out documents of its own shards.",
    )
    max_forgetting: float = Field(
        default=0.01,
        description="Bits per byte by which it may be worse on the held-out documents of the current one's shards.",
    )
    max_megabytes_per_source: float = Field(
        default=1.0, description="Held-out text compared on of each source, in megabytes (10^6 bytes of UTF-8)."
    )
    resamples: int = Field(default=1000, description="Bootstrap resamples of whole groups behind each interval.")
    seed: int = Field(default=0, description="Seed of the choice of documents and of the resampling.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _require(self.max_worse >= 0 and self.max_forgetting >= 0, "max_worse and max_forgetting must not be negative")
        _require(self.max_megabytes_per_source > 0, "max_megabytes_per_source must be greater than 0")
        _require(self.resamples >= 1, "resamples must be at least 1")
        return self
