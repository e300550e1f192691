"""Merge: checkpoints → a checkpoint, which whatever opens a training's checkpoint opens too."""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.merging.declaration import CHECK, MEANING, MergeOptions, MergeStageOptions
from headwater.assets.stages import Check, Stage


class Merge(StageComponent):
    """Makes a checkpoint of others' weights, one for each replicate seed."""

    options_type: ClassVar[type[MergeOptions]] = MergeOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """One stage: merged."""
        options: MergeOptions = self.options
        decided = MergeStageOptions(merger=options.merger, seeds=options.seeds)
        return [
            Stage(
                name=options.name,
                stage="merged",
                kind="Merge",
                function="headwater.assets.merging.stage:materialize_merged",
                options=decided,
                determining=decided.determining,
                inputs=options.merger.inputs(),
                modules=("headwater.models.merging", "headwater.assets.merging.stage", *options.merger.modules),
                libraries=("torch",),
                checks=(
                    Check("finite", "Every weight is a finite number.", blocking=True),
                    Check(CHECK, MEANING),
                    Check("withdrawn_documents", "Nothing that it was made of took from a withdrawn document."),
                ),
                pipeline=pipeline,
                description=options.description or "Weights made of other checkpoints' weights, for each seed.",
                kinds=("pytorch",),
                **options.common(),
            )
        ]
