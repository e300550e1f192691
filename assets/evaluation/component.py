"""Evaluation: checkpoint + held-out documents → report, with checks that can block promotion."""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.evaluation.checks import declared_checks
from headwater.assets.evaluation.declaration import EvaluationOptions
from headwater.assets.stages import Check, Stage


class Evaluation(StageComponent):
    """Measures checkpoints in bits per byte on held-out documents, beside baselines that every model should beat."""

    options_type: ClassVar[type[EvaluationOptions]] = EvaluationOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """One stage: evaluation."""
        options: EvaluationOptions = self.options
        return [
            Stage(
                name=options.name,
                stage="evaluation",
                kind="Evaluation",
                function="headwater.assets.evaluation.stage:materialize_evaluation",
                options=options.measures,
                inputs={"checkpoint": options.checkpoint, "tokens": f"{options.held_out}/tokens"},
                modules=(
                    "headwater.assets.evaluation",
                    "headwater.models.backbones",
                    "headwater.models.scoring",
                    "headwater.models.generation",
                ),
                libraries=("torch",),
                checks=tuple(Check(c.name, c.description, c.blocking) for c in declared_checks(options.measures)),
                pipeline=pipeline,
                description=options.description or "Bits per byte on held-out documents, baselines, cloze and samples.",
                kinds=("pytorch",),
                **options.common(),
            )
        ]
