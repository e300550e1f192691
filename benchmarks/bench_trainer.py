"""What the trainer's generality costs, and how it stands beside other training loops.

Two questions. *What do objectives, teachers, updates and reports cost?* One model, one process: a step of the recipe
trainer and a step of a loop written by hand take turns, and the ratio of each pair is taken; what is told is the mean
with its 95 % interval. A model of a few numbers tells the same in microseconds. *How fast is a run as a whole?* The
same size of model is trained on the same tokens by Headwater, by a plain loop over a GPT as in nanoGPT (LayerNorm,
GELU, learned positions, whole logits), and by the loop of `transformers` over its Llama: tokens per CPU second.

`--megabytes` has no meaning here. Steps are small enough for a laptop and at least 100 ms long.
"""

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import Benchmark, Peer, Result, comparison, measured, median, run, times
from torch import Tensor, nn
from torch.nn import functional

from headwater.models.backbones.decoder import build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.objectives.cross_entropy import linear_cross_entropy
from headwater.models.objectives.next_token import NextToken
from headwater.models.objectives.protocol import Coupling, Losses, Term
from headwater.models.trainer.options import AdamWOptions, ConstantOptions, RecipeOptions
from headwater.models.trainer.trainer import Trainer

SIZE = DecoderOptions(width=256, layers=4, heads=4, vocabulary_size=4096, context_length=257)
BATCH, STEPS, PAIRS, SMALL_STEPS = 8, 30, 150, 400
RATE, BETAS, DECAY = 1e-3, (0.9, 0.95), 0.1
RECIPE = RecipeOptions(
    steps=10_000,
    batch_size=BATCH,
    optimizer=AdamWOptions(learning_rate=RATE, betas=BETAS, weight_decay=DECAY),
    schedule=ConstantOptions(),
    precision="float32",
    checkpoint_every_seconds=None,
)


def batch(step: int) -> dict[str, Tensor]:
    """Random tokens: what is learned does not matter here."""
    generator = torch.Generator().manual_seed(step)
    tokens = torch.randint(0, SIZE.vocabulary_size, (BATCH, SIZE.context_length), generator=generator)
    return {"tokens": tokens, "sample": torch.arange(BATCH) + BATCH * step}


def by_hand(model: nn.Module, loss: Callable[[int], Tensor]) -> Callable[[int], None]:
    """A step as one would write it for a single method: loss, backward, clipping, AdamW."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)

    def step(number: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        value = loss(number)
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert math.isfinite(float(value.detach()) + float(norm))

    return step


def decoder_by_hand() -> Callable[[int], None]:
    """The same decoder and loss as the recipe trainer's."""
    model = build_decoder(SIZE, 0)

    def loss(number: int) -> Tensor:
        tokens = batch(number)["tokens"]
        hidden = model(tokens[:, :-1]).flatten(0, 1)
        targets = tokens[:, 1:].flatten()
        return linear_cross_entropy(hidden, model.output_weight, targets) / len(targets)

    return by_hand(model, loss)


def decoder_by_recipe() -> Callable[[int], None]:
    """The recipe trainer, one step at a time."""
    trainer = Trainer(RECIPE, build_decoder(SIZE, 0), NextToken(), batch)
    return lambda number: trainer.run(None, until=number + 1) and None


class Numbers(nn.Module):
    """A model whose step takes no time worth telling."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))


class Small:
    """The sum of the weights' squares."""

    needs, couples = frozenset({"sample"}), Coupling.NONE

    def heads(self, dims: Any) -> nn.ModuleDict:
        return nn.ModuleDict()

    def memory(self) -> nn.Module:
        return nn.Module()

    def losses(self, step: Any) -> Losses:
        return Losses({"squares": Term(step.student.weight.square().sum(), torch.tensor(1))})


def pairs(first: Callable[[int], None], second: Callable[[int], None], count: int) -> list[tuple[float, float]]:
    """CPU seconds of both steps, taking turns in turning order, after a few that do not count."""
    taken = []
    for number in range(count + 3):
        order = (first, second) if number % 2 else (second, first)
        cost = {}
        for step in order:
            started = time.process_time()
            step(number)
            cost[step] = time.process_time() - started
        if number >= 3:
            taken.append((cost[first], cost[second]))
    return taken


def overhead(folder: Path) -> Result:
    """Ratio of paired steps with its interval, and microseconds that a step costs beside the arithmetic."""
    torch.set_num_threads(1)
    taken = pairs(decoder_by_recipe(), decoder_by_hand(), PAIRS)
    ratios = [ours / theirs for ours, theirs in taken]
    half = 1.96 * statistics.stdev(ratios) / math.sqrt(len(ratios))
    mean = statistics.fmean(ratios)
    trainer = Trainer(RECIPE, Numbers(), Small(), lambda step: {"sample": torch.arange(1)})
    model = Numbers()
    small = pairs(
        lambda number: trainer.run(None, until=number + 1) and None,
        by_hand(model, lambda number: model.weight.square().sum()),
        SMALL_STEPS,
    )
    extra = 1e6 * statistics.median(ours - theirs for ours, theirs in small)
    step = statistics.median(theirs for _, theirs in taken)
    return {"ratio": mean, "low": mean - half, "high": mean + half, "step_ms": 1e3 * step, "extra_us": extra}


def headwater_run(folder: Path) -> Result:
    """A run of the recipe trainer."""
    return trained(decoder_by_recipe())


class PlainBlock(nn.Module):
    """GPT-2's block: LayerNorm, attention of all heads in one product, GELU of four widths."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.mix(self.norms[0](x)).chunk(3, -1)
        )
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norms[1](x))))


class PlainGpt(nn.Module):
    """A GPT-2 of about the decoder's size, its logits whole."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(SIZE.vocabulary_size, SIZE.width)
        self.places = nn.Embedding(SIZE.context_length, SIZE.width)
        self.blocks = nn.Sequential(*(PlainBlock(SIZE.width, SIZE.heads) for _ in range(SIZE.layers)))
        self.norm = nn.LayerNorm(SIZE.width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        return functional.linear(self.norm(self.blocks(x)), self.tokens.weight)


def plain_run(folder: Path) -> Result:
    """A plain loop over a GPT-2, as one finds it in nanoGPT."""
    model = PlainGpt()

    def loss(number: int) -> Tensor:
        tokens = batch(number)["tokens"]
        return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    return trained(by_hand(model, loss), model)


def transformers_run(folder: Path) -> Result:
    """`transformers`: its Llama of the same sizes, trained by its own Trainer."""
    from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments
    from transformers import Trainer as TheirTrainer

    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=SIZE.vocabulary_size,
        hidden_size=SIZE.width,
        intermediate_size=SIZE.inner_width,
        num_hidden_layers=SIZE.layers,
        num_attention_heads=SIZE.heads,
        max_position_embeddings=SIZE.context_length,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    rows = [{"input_ids": row[:-1], "labels": row[:-1]} for number in range(STEPS) for row in batch(number)["tokens"]]
    arguments = TrainingArguments(
        output_dir=str(folder / "transformers"),
        per_device_train_batch_size=BATCH,
        max_steps=STEPS,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=DECAY,
        max_grad_norm=1.0,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = TheirTrainer(model=model, args=arguments, train_dataset=rows)
    with measured() as cost:
        trainer.train()
    return {"rate": STEPS * BATCH * (SIZE.context_length - 1) / cost["cpu"], "parameters": _count(model)}


def trained(step: Callable[[int], None], model: nn.Module | None = None) -> Result:
    """Tokens per CPU second of a number of steps, the first two left out."""
    torch.set_num_threads(1)
    for number in range(2):
        step(number)
    with measured() as cost:
        for number in range(2, STEPS + 2):
            step(number)
    count = _count(model if model is not None else build_decoder(SIZE, 0))
    return {"rate": STEPS * BATCH * (SIZE.context_length - 1) / cost["cpu"], "parameters": count}


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def report(facts: Result, results: Any) -> str:
    """The table, and a sentence on the cost of generality."""
    ours = median(results["headwater"], "rate")
    loops = {name: peer for name, peer in PEERS.items() if name != "overhead"}
    table = comparison(
        loops,
        results,
        ["parameters", "tokens per CPU second", "beside Headwater"],
        lambda name, runs: (
            f"{runs[0]['parameters']:,}",
            f"{median(runs, 'rate'):,.0f}",
            times(median(runs, "rate"), ours),
        ),
    )
    (cost,) = results["overhead"][:1]
    told = (
        f"One model in one process, {PAIRS} pairs of steps of {cost['step_ms']:.0f} ms: a step of the recipe trainer "
        f"takes {100 * (cost['ratio'] - 1):+.2f} % of a step written by hand (95 % interval "
        f"{100 * (cost['low'] - 1):+.2f} to {100 * (cost['high'] - 1):+.2f} %); {cost['extra_us']:.0f} µs per step "
        "where the model's own arithmetic takes none."
    )
    return f"{told}\n\n{table}"


PEERS = {
    "overhead": Peer("pairs of steps", overhead, repetitions=1),
    "headwater": Peer("Headwater", headwater_run),
    "plain": Peer("plain loop over a GPT-2, as nanoGPT's", plain_run),
    "transformers": Peer("transformers' Trainer over its Llama", transformers_run, module="accelerate"),
}

if __name__ == "__main__":
    run(Benchmark("bench_trainer", "Training loops", lambda folder, megabytes: {}, PEERS, report))
