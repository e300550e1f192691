"""Training: shards → checkpoint, one per replicate seed, with weights, exact-resume state and curves."""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.stages import Check, Stage
from headwater.assets.training.declaration import TrainingOptions


class Training(StageComponent):
    """Trains a network on shards; a run that is killed goes on where its last state was saved."""

    options_type: ClassVar[type[TrainingOptions]] = TrainingOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """One stage: checkpoint."""
        options: TrainingOptions = self.options
        return [
            Stage(
                name=options.name,
                stage="checkpoint",
                kind="Training",
                function="headwater.assets.training.stage:materialize_checkpoint",
                options=options,
                determining=options.model_dump(mode="json", include={"backbone", "recipe", "sampling", "seeds"}),
                inputs={"shards": f"{options.shards}/shards"},
                outside="headwater.assets.training.stage:initial_weights_fingerprint",
                modules=(
                    "headwater.models.backbones",
                    "headwater.models.objectives",
                    "headwater.models.trainer",
                    "headwater.models.hugging_face",
                    "headwater.assets.training.replicate",
                    "headwater.assets.sharding.loader",
                    "headwater.assets.sharding.packing",
                    "headwater.assets.sharding.reader",
                    "headwater.assets.sharding.sampling",
                    "headwater.assets.sharding.order",
                    "headwater.assets.sharding.mixture",
                ),
                libraries=("torch",),
                checks=(
                    Check("learned", "The loss ends finite and below where it began.", blocking=True),
                    Check("spikes", "No loss or gradient spike was recorded."),
                ),
                pipeline=pipeline,
                description=options.description or "Weights and exact-resume state for each seed, with curves.",
                kinds=("pytorch",),
                **options.common(),
            )
        ]
