"""What a declaration may say about a training: on which shards, which backbone, by which recipe, from which seeds."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from headwater.assets.options import NAME, ComponentOptions, Options
from headwater.assets.sharding.options import SamplingOptions
from headwater.models.backbones.options import DecoderOptions
from headwater.models.trainer.options import RecipeOptions


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


class TrainingOptions(ComponentOptions, TrainingStageOptions):
    """A network trained on shards, a checkpoint per seed, resumable at any step."""

    shards: str = Field(pattern=NAME, description="The Shards to train on.")
    tracking: list[Literal["tensorboard", "mlflow"]] = Field(
        ["tensorboard"], description="Where curves go besides the asset's page; mlflow needs the extra `mlflow`."
    )

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        return [(("shards",), "Shards", self.shards)]
