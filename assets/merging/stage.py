"""merged: a network for each seed, stored as a training stores its last state.

The record says of the network what a training's says (backbone, objectives, seeds), so that evaluations, annotations
and trainings that start from it open it as any checkpoint.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import torch

from headwater.assets.context import StageContext, StageError
from headwater.assets.markdown import markdown_table
from headwater.assets.merging.common_start import common_start
from headwater.assets.merging.declaration import MergeStageOptions
from headwater.assets.merging.protocol import Ingredient, Merged
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.training.checkpoints import source_of
from headwater.assets.training.networks import objectives_of
from headwater.assets.training.places import STATE
from headwater.assets.training.promotion import current_checkpoint
from headwater.models.backbones.building import on_meta
from headwater.models.merging import Weights, require_alike
from headwater.models.objectives.options import ObjectiveOptions
from headwater.models.trainer.state import State, load, place, save

HEADS = "heads."


class _Opened(NamedTuple):
    ingredient: Ingredient
    heads: Weights


def materialize_merged(context: StageContext) -> Outcome:
    """Merges the replicates of each seed.

    Raises:
        StageError: the checkpoints cannot be merged; names the first difference.
    """
    options: MergeStageOptions = context.stage.options  # type: ignore[assignment]
    records = _checkpoints(context)
    merger = options.merger.build()
    objectives = _shared_objectives(records)
    outcome, finite = Outcome(), True
    weights: dict[str, str] = {}
    for seed in options.seeds:
        opened = [_open(context, record, seed) for record in records]
        try:
            merged: Merged = merger.merge([each.ingredient for each in opened], context)
            heads = merger.merge_heads([each.heads for each in opened]) if objectives else {}
        except ValueError as error:
            raise StageError(f"{context.stage.asset}, seed {seed}: {error}.") from error
        _require_fitting(context, merged)
        finite = finite and all(bool(torch.isfinite(w).all()) for w in merged.weights.values() if w.is_floating_point())
        folder = context.folder / f"seed_{seed}" / STATE
        state = State(0, dict(merged.weights), {f"{HEADS}{name}": value for name, value in heads.items()}, {})
        save(folder, state, keep=1)
        weights |= _sums(context.folder, place(folder, 0))
        outcome.metrics |= merged.metrics if len(options.seeds) == 1 else _of_seed(merged.metrics, seed)
        outcome.markdown |= merged.markdown
    outcome.files = weights | _sums(context.folder, *(context.folder / f"seed_{s}" / STATE for s in options.seeds))
    outcome.content = digest_of({name: sha for name, sha in weights.items() if name.endswith(".safetensors")})
    _describe(outcome, records, merged, objectives, options.seeds, finite)
    outcome.checks.append(common_start(context.store, records, options.seeds))
    return outcome


def _checkpoints(context: StageContext) -> list[Record]:
    roles = [role for role in context.stage.inputs if role.startswith("checkpoint:")]
    return [current_checkpoint(context.store, context.inputs[role]) for role in roles]


def _open(context: StageContext, record: Record, seed: int) -> _Opened:
    source = source_of(context.store, record, seed)
    state = load(source.folder)
    if state is None:
        raise StageError(f"{record.asset} has no weights of seed {seed}; materialize it again.")
    heads = {name.removeprefix(HEADS): value for name, value in state.trainer.items() if name.startswith(HEADS)}
    return _Opened(Ingredient(record.asset, source.backbone, state.model), heads)


def _shared_objectives(records: list[Record]) -> dict[str, ObjectiveOptions]:
    """The objectives whose heads are merged too: those of the checkpoints, if all were trained by the same."""
    first, *others = (objectives_of(record) for record in records)
    return first if all(other == first for other in others) else {}


def _require_fitting(context: StageContext, merged: Merged) -> None:
    """The weights are those of the network that the record will name."""
    wanted = on_meta(merged.backbone).state_dict()
    try:
        require_alike({"the network": wanted, "the merged weights": merged.weights})
    except ValueError as error:
        raise StageError(f"{context.stage.asset}: {error}.") from error


def _sums(root: Path, *folders: Path) -> dict[str, str]:
    found = {}
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _of_seed(metrics: dict[str, Any], seed: int) -> dict[str, Any]:
    return {f"seed_{seed}/{name}": value for name, value in metrics.items()}


def _describe(
    outcome: Outcome,
    records: list[Record],
    merged: Merged,
    objectives: dict[str, ObjectiveOptions],
    seeds: list[int],
    finite: bool,
) -> None:
    outcome.metrics |= {
        "parameters": sum(value.numel() for value in merged.weights.values()),
        "seeds": seeds,
        "backbone": merged.backbone.model_dump(mode="json"),
        "objectives": {name: one.model_dump(mode="json") for name, one in objectives.items()},
    }
    rows = [[record.asset, record.digest[:8]] for record in records]
    outcome.markdown["ingredients"] = markdown_table(["checkpoint", "version"], rows)
    if not objectives:
        outcome.markdown["heads"] = "The checkpoints were trained by different objectives: their heads are left out."
    said = "All weights are finite." if finite else "Some weights are no finite numbers."
    outcome.checks = [CheckRecord(name="finite", passed=finite, blocking=True, description=said)]
