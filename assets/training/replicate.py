"""One replicate: everything a worker needs to train from one seed, as plain values that can be sent anywhere.

The same function runs in the process that asked (one worker) and in each worker of Ray Train (two or more).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from headwater.assets.sharding.loader import Loader
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.sampling import Sampler, Segment
from headwater.assets.training.curves import Curve
from headwater.models.backbones.decoder import Decoder, build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.hugging_face import import_llama
from headwater.models.objectives.next_token import NextToken
from headwater.models.trainer.options import RecipeOptions
from headwater.models.trainer.reports import NonFiniteLoss, StepReport
from headwater.models.trainer.state import saved_step
from headwater.models.trainer.trainer import Trainer

STATE = "state"
CONSTANT = "constant"  # the state at the end of the constant phase, from which a retraining goes on
FAILURE = "non_finite.json"


@dataclass(frozen=True)
class Replicate:
    """A training run from one seed."""

    folder: Path
    shards: str
    segments: tuple[Segment, ...]
    decoder: DecoderOptions
    recipe: RecipeOptions
    end_of_text: int
    initial: str | None = None  # Hugging Face folder to start from
    constant_until: int | None = None  # step whose state is kept for retrainings, before annealing
    base: Path | None = None  # the replicate's folder in the checkpoint whose constant phase goes on; only read
    trackers: tuple[str, ...] = ()
    name: str = ""


def train(
    replicate: Replicate, rank: int = 0, world: int = 1, watch: Callable[[StepReport], None] | None = None
) -> int:
    """Trains to the recipe's last step, from wherever a killed run had saved its state; returns the steps made in all.

    Raises:
        NonFiniteLoss: the numbers broke; the step's samples are also left in ``non_finite.json``.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sampler = Sampler(replicate.segments)
    loader = Loader(ShardReader(replicate.shards), sampler, replicate.end_of_text, rank, world)
    replicate.folder.mkdir(parents=True, exist_ok=True)
    curve: Curve | None = None

    def on_step(report: StepReport) -> None:
        if curve is not None:
            curve.add(report)
        if watch is not None:
            watch(report)

    trainer = Trainer(replicate.recipe, initial_model(replicate), NextToken(), loader, device=device, on_step=on_step)
    from_step = _take_up(trainer, replicate)
    if rank == 0:
        curve = Curve(replicate.folder, from_step, replicate.trackers, replicate.name, before=replicate.base)
    try:
        if replicate.constant_until is not None and trainer.step < replicate.constant_until:
            trainer.run(replicate.folder / CONSTANT, until=replicate.constant_until)
        return trainer.run(replicate.folder / STATE).step
    except NonFiniteLoss as error:
        if rank == 0:
            (replicate.folder / FAILURE).write_text(json.dumps(_failure(error)))
        raise
    finally:
        if curve is not None:
            curve.close()


def states_of(replicate: Replicate) -> list[Path]:
    """Where a state to go on from may lie: the furthest first, the base's last."""
    own = [replicate.folder / STATE, replicate.folder / CONSTANT]
    return [*own, replicate.base / CONSTANT] if replicate.base else own


def reached(replicate: Replicate) -> int:
    """The step at which training goes on, or 0."""
    return next((step for folder in states_of(replicate) if (step := saved_step(folder))), 0)


def _take_up(trainer: Trainer, replicate: Replicate) -> int:
    return next((step for folder in states_of(replicate) if (step := trainer.resume(folder))), 0)


def initial_model(replicate: Replicate) -> Decoder:
    """The network before its first step."""
    if replicate.initial is None:
        return build_decoder(replicate.decoder, replicate.recipe.seed)
    options, weights = import_llama(Path(replicate.initial))
    model = build_decoder(options, replicate.recipe.seed)
    model.load_state_dict(weights)
    return model


def _failure(error: NonFiniteLoss) -> dict[str, Any]:
    return {"step": error.step, "samples": error.samples, "message": str(error)}
