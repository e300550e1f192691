"""A tiny run that several tests share, and that worker processes can import."""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, distributed

from headwater.models.backbones.decoder import Decoder, build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.objectives.next_token import NextToken, segments_of
from headwater.models.trainer.options import AdamWOptions, CosineOptions, RecipeOptions
from headwater.models.trainer.trainer import Trainer

MODEL = DecoderOptions(width=32, layers=2, heads=4, key_value_heads=2, vocabulary_size=64, context_length=24)
RECIPE = RecipeOptions(
    seed=7,
    steps=20,
    batch_size=8,
    optimizer=AdamWOptions(learning_rate=0.01),
    schedule=CosineOptions(warmup_steps=3),
    precision="float32",
    checkpoint_every_seconds=None,
)


def batches(step: int, worker: int = 0, workers: int = 1) -> dict[str, Tensor]:
    """Learnable sequences: each token is the last plus a stride of its document; some positions are not counted."""
    generator = torch.Generator().manual_seed(step)
    start, stride = torch.randint(1, 64, (8, 1), generator=generator), torch.randint(1, 4, (8, 1), generator=generator)
    tokens = (start + stride * torch.arange(24)) % 63 + 1
    tokens[:, 0] = 0
    tokens[torch.arange(8), torch.randint(2, 24, (8,), generator=generator)] = 0
    mask = torch.rand(8, 24, generator=generator) < torch.linspace(0.3, 1.0, 8)[:, None]
    whole = {"tokens": tokens, "segments": segments_of(tokens, 0), "loss_mask": mask}
    whole["sample"] = torch.arange(8) + 1000 * step
    return {name: tensor[worker::workers] for name, tensor in whole.items()}


def model(seed: int = 0) -> Decoder:
    return build_decoder(MODEL, seed)


def trainer(recipe: RecipeOptions = RECIPE, **others) -> Trainer:
    return Trainer(recipe, others.pop("student", None) or model(), NextToken(), others.pop("data", batches), **others)


def work(rank: int, world: int, meeting: str, folder: str) -> None:
    """One worker of a data-parallel run; even its different first weights must not matter."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    student, losses = model(seed=rank), []
    recipe = RECIPE.model_copy(update={"micro_batch_size": 3 if rank else None})
    run = trainer(
        recipe, student=student, data=lambda step: batches(step, rank, world), on_step=lambda r: losses.append(r.loss)
    )
    run.run(Path(folder), until=6)
    torch.save({"losses": losses, **student.state_dict()}, f"{folder}/worker-{rank}.pt")
    distributed.destroy_process_group()


def main(folder: str) -> None:
    """Resume and train to the end, telling each step: for the test that kills it."""
    torch.set_num_threads(1)
    recipe = RECIPE.model_copy(update={"steps": 60, "checkpoint_every_steps": 3})
    run = trainer(recipe, on_step=lambda report: print(report.step, flush=True))
    run.resume(Path(folder))
    run.run(Path(folder))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1])
