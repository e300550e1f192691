"""Training: shards → checkpoint, one per replicate seed, with weights, exact-resume state and curves."""

from typing import ClassVar

from headwater.assets.component import StageComponent
from headwater.assets.references import checkpoint_asset
from headwater.assets.stages import Check, Stage
from headwater.assets.training.declaration import TrainingOptions
from headwater.assets.training.options import PromoteOptions

# What decides the samples of a retraining; a training that only ever begins anew does not depend on it.
_CONTINUING = ("headwater.assets.training.course", "headwater.assets.training.growth")

# What decides the views: how they are applied, and the scales that they may follow.
_VIEWING = (
    "headwater.models.views.pipeline",
    "headwater.models.views.protocol",
    "headwater.assets.sharding.examples.scales",
)


def _parts(options: TrainingOptions) -> set[str]:
    """The modules of the parts that are used, and no others: a new method changes no earlier checkpoint."""
    chosen = [options.backbone, *options.by_name.values(), *options.views]
    shared = {"headwater.models.objectives.together", "headwater.models.backbones.building"}
    views = set(_VIEWING) if options.views else set()
    return {module for part in chosen for module in part.modules} | shared | views


def _checkpoints(options: TrainingOptions) -> dict[str, str]:
    """The checkpoints that are consumed, by role."""
    init = {"init": checkpoint_asset(options.init.training)} if options.init else {}
    vectors = enumerate(options.init.vectors if options.init else [])
    init |= {f"vector:{number}": checkpoint_asset(name) for number, name in vectors}
    return init | {f"teacher:{name}": checkpoint_asset(asset) for name, asset in options.teaching.items()}


class Training(StageComponent):
    """Trains a network on shards; a run that is killed goes on where its last state was saved."""

    options_type: ClassVar[type[TrainingOptions]] = TrainingOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """The checkpoint, and where promotion is declared which one is current."""
        return [self._checkpoint(pipeline), *([self._current(pipeline)] if self.options.promote else [])]

    def _checkpoint(self, pipeline: str) -> Stage:
        options: TrainingOptions = self.options
        return Stage(
            name=options.name,
            stage="checkpoint",
            kind="Training",
            function="headwater.assets.training.stage:materialize_checkpoint",
            options=options,
            determining=options.determining,
            inputs={"shards": f"{options.shards}/shards"} | _checkpoints(options),
            outside="headwater.assets.training.outside:initial_weights_fingerprint",
            refreshes=("shards",) if options.continued else (),
            grows=options.continued is not None,
            hold="headwater.assets.training.waiting:reason_to_wait" if options.retrain else None,
            modules=(
                *_parts(options),
                "headwater.models.trainer",
                "headwater.models.hugging_face",
                "headwater.assets.training.replicate",
                "headwater.assets.training.starting",
                *(_CONTINUING if options.continued else ()),
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
                Check("withdrawn_documents", "No step saw a document that was withdrawn since."),
            ),
            pipeline=pipeline,
            description=options.description or "Weights and exact-resume state for each seed, with curves.",
            kinds=("pytorch",),
            **options.common(),
        )

    def _current(self, pipeline: str) -> Stage:
        options: TrainingOptions = self.options
        return Stage(
            name=options.name,
            stage="current",
            kind="Training",
            function="headwater.assets.training.promotion:materialize_current",
            options=options.promote or PromoteOptions(),
            inputs={"checkpoint": f"{options.name}/checkpoint"},
            restores=False,
            modules=("headwater.assets.training.comparing", "headwater.models.scoring"),
            libraries=("torch",),
            checks=(Check("promotion", "The latest checkpoint held its own against the current one."),),
            pipeline=pipeline,
            description="Which checkpoint is current: the latest that forgot nothing, unless someone said otherwise.",
            kinds=("pytorch",),
            **options.common(),
        )
