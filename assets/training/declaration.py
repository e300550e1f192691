"""What a declaration may say about a training: on which shards, which backbone, by which recipe, from which seeds."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from headwater.assets.options import NAME, ComponentOptions, Options
from headwater.assets.sharding.options import SamplingOptions
from headwater.assets.training.options import Continued, PromoteOptions, RetrainOptions
from headwater.models.backbones.options import DecoderOptions
from headwater.models.trainer.options import InfiniteOptions, RecipeOptions


class HuggingFaceFolder(Options):
    """A decoder that exists already: a folder with `config.json` and `model.safetensors`."""

    kind: Literal["hugging_face"] = Field("hugging_face", description="Start from a Hugging Face folder.")
    path: str = Field(description="The folder; a relative path starts at the workspace folder.")


Backbone = Annotated[DecoderOptions | HuggingFaceFolder, Field(discriminator="kind")]


class TrainingStageOptions(Options):
    """What decides the weights."""

    backbone: Backbone = Field(
        default_factory=DecoderOptions,
        description="The network. A decoder's vocabulary_size and context_length follow the tokenizer and the shards "
        "where they are not given.",
    )
    recipe: RecipeOptions = Field(
        default_factory=RecipeOptions, description="How it learns. Its seed is replaced by each of `seeds`."
    )
    sampling: SamplingOptions = Field(
        default_factory=SamplingOptions, description="The order in which samples are read."
    )
    seeds: list[int] = Field([0], description="One replicate is trained from each; all belong to the same asset.")

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds must be different numbers from 0 on, at least one; they are {seeds}")
        return seeds


def _require_a_constant_phase(recipe: RecipeOptions) -> None:
    schedule = recipe.schedule
    if not isinstance(schedule, InfiniteOptions):
        raise ValueError(f"retrain.how: continue needs recipe.schedule.kind: infinite, not {schedule.kind}")
    if schedule.anneal_from is not None:
        raise ValueError(
            "retrain.how: continue anneals in the last anneal_steps of each run: leave out schedule.anneal_from"
        )
    least = schedule.warmup_steps + schedule.cooldown_steps + schedule.anneal_steps
    if recipe.steps < least:
        raise ValueError(
            f"recipe.steps is {recipe.steps}: warm-up, cooldown and annealing alone take {least}. "
            "Train for more steps, or shorten them in recipe.schedule"
        )


class TrainingOptions(ComponentOptions, TrainingStageOptions):
    """A network trained on shards, a checkpoint per seed, resumable at any step."""

    shards: str = Field(pattern=NAME, description="The Shards to train on.")
    tracking: list[Literal["tensorboard", "mlflow"]] = Field(
        ["tensorboard"], description="Where curves go besides the asset's page; mlflow needs the extra `mlflow`."
    )

    retrain: RetrainOptions | None = Field(
        None, description="When and how it follows refreshed shards; unset: trained anew at every change of them."
    )
    promote: PromoteOptions | None = Field(
        None,
        description="Adds the asset `current`: the latest checkpoint that held its own against the one before; unset: "
        "no such asset.",
    )

    @property
    def continued(self) -> Continued | None:
        """How retrainings go on from earlier ones; None when they begin anew."""
        how = self.retrain.how if self.retrain else None
        return how if isinstance(how, Continued) else None

    @property
    def determining(self) -> dict[str, Any]:
        """What decides the weights, as JSON values: when to retrain does not, how to continue does."""
        decided = self.model_dump(mode="json", include={"backbone", "recipe", "sampling", "seeds"})
        return decided | ({"continue": self.continued.model_dump(mode="json")} if self.continued else {})

    @model_validator(mode="after")
    def _can_be_continued(self) -> Self:
        if self.continued:
            _require_a_constant_phase(self.recipe)
        return self

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        return [(("shards",), "Shards", self.shards)]
