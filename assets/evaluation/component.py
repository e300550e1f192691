"""Evaluation: checkpoint + held-out documents or examples → report, with checks that can block promotion."""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.evaluation.checks import declared_checks
from headwater.assets.evaluation.declaration import EvaluationOptions
from headwater.assets.evaluation.probe_options import ProbingOptions, check_name
from headwater.assets.stages import Check, Stage
from headwater.models.backbones.options import DecoderOptions

_READS_EXAMPLES = tuple(f"headwater.assets.sharding.examples.{name}" for name in ("reader", "index", "loader"))


class Evaluation(StageComponent):
    """Measures checkpoints: language models in bits per byte beside baselines, any network by probes on examples."""

    options_type: ClassVar[type[EvaluationOptions]] = EvaluationOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """One stage: evaluation."""
        return [self._probing(pipeline) if self.options.probes else self._language_model(pipeline)]

    def _language_model(self, pipeline: str) -> Stage:
        options: EvaluationOptions = self.options
        return Stage(
            name=options.name,
            stage="evaluation",
            kind="Evaluation",
            function="headwater.assets.evaluation.stage:materialize_evaluation",
            options=options.measures,
            inputs={"checkpoint": str(options.checkpoint), "tokens": f"{options.held_out}/tokens"},
            modules=(
                *(f"headwater.assets.evaluation.{name}" for name in _LANGUAGE_MODEL),
                *DecoderOptions().modules,
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

    def _probing(self, pipeline: str) -> Stage:
        options: EvaluationOptions = self.options
        probing = options.probing
        checkpoint = {} if options.checkpoint is None else {"checkpoint": options.checkpoint}
        return Stage(
            name=options.name,
            stage="evaluation",
            kind="Evaluation",
            function="headwater.assets.evaluation.probing:materialize_probes",
            options=probing,
            determining=probing.determining,
            inputs=checkpoint | {"shards": f"{options.shards}/shards"},
            modules=(
                *probing.modules,
                "headwater.models.probes.protocol",
                "headwater.models.views.pipeline",
                *(() if checkpoint else ("headwater.assets.evaluation.raw_features",)),
                *_READS_EXAMPLES,
            ),
            modules_of_inputs="headwater.assets.training.networks:network_modules",
            libraries=("torch",),
            checks=_checks(probing),
            pipeline=pipeline,
            description=options.description or f"Figures of the probes {', '.join(options.probes)}, seed by seed.",
            kinds=("pytorch",),
            **options.common(),
        )


_LANGUAGE_MODEL = (
    "baselines",
    "bits_per_byte",
    "checks",
    "cloze",
    "documents",
    "evaluation",
    "generation",
    "intervals",
    "options",
    "report",
    "stage",
    "tables",
)


def _checks(options: ProbingOptions) -> tuple[Check, ...]:
    required = [
        Check(check_name(figure), f"{figure} is {limits_of(options, figure)} for every seed.", requirement.block)
        for figure, requirement in options.require.items()
    ]
    return (Check("finite", "Every figure of every seed is a finite number.", blocking=True), *required)


def limits_of(options: ProbingOptions, figure: str) -> str:
    """What a figure must be, in words."""
    required = options.require[figure]
    limits = (("at least", required.at_least), ("at most", required.at_most))
    return " and ".join(f"{words} {limit:g}" for words, limit in limits if limit is not None)
