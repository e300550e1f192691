"""The trainer: everything that changes state, and no method by name.

A step asks for its batch (a pure function of the step), runs the objective on each microbatch, divides summed losses by
global counts, and updates once. Nothing about a step depends on what came before except weights, optimizer slots,
memory buffers and spike statistics; random numbers are drawn from (seed, step, worker, microbatch). So the state saved
between steps is complete, and a resumed run equals an uninterrupted one bit for bit on the same processor, threads and
worker count.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from headwater.models.objectives.protocol import Coupling, Losses, Objective, Step, Term
from headwater.models.trainer import state as storage
from headwater.models.trainer import workers
from headwater.models.trainer.optimizers import OptimizerSet
from headwater.models.trainer.options import RecipeOptions
from headwater.models.trainer.precision import uses_bfloat16
from headwater.models.trainer.reports import NonFiniteLoss, StepReport
from headwater.models.trainer.schedules import multiplier
from headwater.models.trainer.spikes import SpikeWatch

Batch = dict[str, Tensor]


class Batches(Protocol):
    """The data of a run: a pure function of the step."""

    def __call__(self, step: int) -> Batch:
        """This worker's share of the step's batch: fields with examples first, `sample` (int64 ids) among them."""


class Outcome(NamedTuple):
    """How a run ended: updates made in all, the last step's report (None when there was none), the saved state."""

    step: int
    last: StepReport | None
    saved: Path | None


class Means(NamedTuple):
    """A step's loss and terms, averaged over the whole batch, and the counts they were divided by."""

    loss: float
    terms: dict[str, float]
    counts: dict[str, float]


class Trainer:
    """Trains `model` on `batches` by `objective` as `recipe` says.

    `on_step` is called after every step on every worker, `on_save(folder, step)` on the first worker after a state is
    complete on disk. Raises ValueError when the objective cannot be trained as asked.
    """

    def __init__(
        self,
        recipe: RecipeOptions,
        model: nn.Module,
        objective: Objective,
        batches: Batches,
        *,
        device: str | torch.device = "cpu",
        on_step: Callable[[StepReport], None] | None = None,
        on_save: Callable[[Path, int], None] | None = None,
    ) -> None:
        self.recipe, self.objective, self.batches = recipe, objective, batches
        self.on_step, self.on_save = on_step, on_save
        self.device = torch.device(device)
        self.model = model.to(self.device)
        torch.manual_seed(recipe.seed)  # heads draw their first weights from the default generator
        self.heads = objective.heads(cast("Mapping[str, int]", getattr(model, "dims", {}))).to(self.device)
        self.memory = objective.memory().to(self.device)
        named = [*model.named_parameters(), *((f"heads.{name}", p) for name, p in self.heads.named_parameters())]
        self.parameters = {name: p for name, p in named if p.requires_grad}
        outer = frozenset(getattr(model, "outer_parameters", ())) | {
            n for n in self.parameters if n.startswith("heads.")
        }
        self.optimizer = OptimizerSet(recipe.optimizer, self.parameters, outer)
        self.low_precision = uses_bfloat16(recipe.precision, self.device)
        self.watches = {name: SpikeWatch(recipe.spike_deviations) for name in ("loss", "gradient_norm")}
        self.step = 0
        self._refuse_impossible()
        if recipe.compile:
            model.compile()

    def _refuse_impossible(self) -> None:
        share = -(-self.recipe.batch_size // workers.world_size())
        split = workers.world_size() > 1 or (self.recipe.micro_batch_size or share) < share
        if split and self.objective.couples is not Coupling.NONE:
            raise ValueError(
                f"{type(self.objective).__name__} couples the examples of a batch ({self.objective.couples.value}): "
                "its batch cannot be cut; unset micro_batch_size and use one worker"
            )

    # State

    def resume(self, folder: Path) -> int:
        """Take up the newest state in `folder`, which every worker must see; returns the step to go on at, or 0.

        Raises ValueError when the state is damaged, of another model, or of a recipe with other data or update rule.
        """
        saved = storage.load(folder)
        if saved is None:
            return 0
        self._refuse_other_recipe(saved.facts["recipe"], folder)
        parts: dict[str, Batch] = {"heads": {}, "memory": {}, "optimizer": {}}
        for name, tensor in saved.trainer.items():
            part, _, key = name.partition(".")
            parts[part][key] = tensor
        try:
            self.model.load_state_dict(saved.model)
            self.heads.load_state_dict(parts["heads"])
            self.memory.load_state_dict(parts["memory"])
        except RuntimeError as error:
            raise ValueError(f"the state in {folder} is of another model: {error}") from error
        self.optimizer.load(parts["optimizer"])
        for name, watch in saved.facts["spikes"].items():
            self.watches[name] = SpikeWatch(**watch)
        self.step = saved.step
        return self.step

    def _refuse_other_recipe(self, saved: dict[str, Any], folder: Path) -> None:
        wanted = self.recipe.model_dump(mode="json")
        saved, wanted = ({**r, "optimizer.kind": r["optimizer"]["kind"]} for r in (saved, wanted))
        for field in ("seed", "batch_size", "optimizer.kind"):
            if saved[field] != wanted[field]:
                raise ValueError(
                    f"the state in {folder} was trained with {field} = {saved[field]!r}, the recipe says "
                    f"{wanted[field]!r}: restore the recipe, or train into an empty folder"
                )

    def _state(self) -> storage.State:
        parts = {
            "heads": self.heads.state_dict(),
            "memory": self.memory.state_dict(),
            "optimizer": self.optimizer.state(),
        }
        tensors = {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
        facts = {
            "recipe": self.recipe.model_dump(mode="json"),
            "spikes": {name: watch.state() for name, watch in self.watches.items()},
            "execution": {
                "torch": torch.__version__,
                "device": self.device.type,
                "workers": workers.world_size(),
                "threads": torch.get_num_threads(),
                "bfloat16": self.low_precision,
            },
        }
        return storage.State(self.step, dict(self.model.state_dict()), tensors, facts)

    def save(self, folder: Path) -> Path:
        """Write the state now (the first worker only; the others return at once)."""
        target = storage.place(folder, self.step)
        if workers.rank() == 0 and storage.saved_step(folder) != self.step:
            storage.save(folder, self._state(), self.recipe.keep_states)
            if self.on_save:
                self.on_save(target, self.step)
        return target

    # The loop

    def run(self, folder: Path | None, until: int | None = None) -> Outcome:
        """Train up to step `until` (by default the recipe's last), saving into `folder`, always at the end.

        Raises NonFiniteLoss before the update that would spoil the weights, and ValueError when `folder` holds the
        state of a run that was not resumed.
        """
        if folder and (storage.saved_step(folder) or 0) > self.step:
            raise ValueError(f"{folder} holds the state of step {storage.saved_step(folder)}: resume it, or empty it")
        workers.same_on_all_workers([tensor.data for tensor in self.parameters.values()])
        end = min(self.recipe.steps, self.recipe.steps if until is None else until)
        last, saved, saved_at = None, None, time.monotonic()
        self.model.train()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            while self.step < end:
                last = self._advance(self.step)
                self.step += 1
                if self.on_step:
                    self.on_step(last)
                if folder and (self.step == end or self._due(saved_at)):
                    saved, saved_at = self.save(folder), time.monotonic()
        if folder and saved is None:
            saved = self.save(folder)
        workers.wait_for_all()
        return Outcome(self.step, last, saved)

    def _due(self, saved_at: float) -> bool:
        every, seconds = self.recipe.checkpoint_every_steps, self.recipe.checkpoint_every_seconds
        elapsed = time.monotonic() - saved_at
        return (every is not None and self.step % every == 0) or (seconds is not None and elapsed >= seconds)

    def _advance(self, step: int) -> StepReport:
        started = time.perf_counter()
        batch = self._batch(step)
        data_seconds = time.perf_counter() - started
        micros = self._micros(batch)
        means, updates = self._backward(step, micros)
        if not math.isfinite(means.loss):
            raise NonFiniteLoss(step, self._blame(step, micros), means.loss)
        limit = self.recipe.clip_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.parameters.values(), limit))
        if not math.isfinite(norm):
            raise NonFiniteLoss(step, self._ids(micros), means.loss, "gradient")
        rate = self.optimizer.step(multiplier(self.recipe.schedule, step, self.recipe.steps))
        for name, value in updates.items():
            self.memory.get_buffer(name).copy_(value)
        spikes = [self.watches[name].observe(v) for name, v in (("loss", means.loss), ("gradient_norm", norm))]
        tokens = int(max(means.counts.values()))
        seconds = time.perf_counter() - started
        return StepReport(step, means.loss, means.terms, rate, norm, tokens, seconds, data_seconds, any(spikes))

    def _batch(self, step: int) -> Batch:
        batch = self.batches(step)
        missing = sorted((self.objective.needs | {"sample"}) - batch.keys())
        if missing:
            raise ValueError(f"the batch of step {step} lacks {', '.join(missing)}; it has {', '.join(sorted(batch))}")
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def _micros(self, batch: Batch) -> list[Batch]:
        examples = len(batch["sample"])
        size = self.recipe.micro_batch_size or examples
        return [{name: t[start : start + size] for name, t in batch.items()} for start in range(0, examples, size)]

    # Losses and gradients

    def _losses(self, step: int, micro: int, batch: Batch) -> Losses:
        entropy = (self.recipe.seed, step, workers.rank(), micro)
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
        torch.manual_seed(seed)  # dropout and the like draw from the default generators
        rng = torch.Generator(self.device).manual_seed(seed)
        progress = step / self.recipe.steps
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision):
            return self.objective.losses(Step(batch, self.model, {}, self.heads, self.memory, progress, rng))

    def _backward(self, step: int, micros: list[Batch]) -> tuple[Means, dict[str, Tensor]]:
        """Set every parameter's gradient to that of the whole batch's loss; exact for any cut into microbatches.

        One microbatch: the counts are known before the backward, which then runs once over the weighted sum. Several:
        the counts are known only at the end, so each term's gradient is summed apart and divided then.
        """
        parameters = list(self.parameters.values())
        if len(micros) == 1:
            losses = self._losses(step, 0, micros[0])
            means = self._means([losses.terms])
            parts = [t.total * (self._weight(name) / means.counts[name]) for name, t in losses.terms.items()]
            gradients = torch.autograd.grad(torch.stack(parts).sum(), parameters, materialize_grads=True)
        else:
            losses, means, gradients = self._accumulate(step, micros, parameters)
        workers.sum_over_workers(gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return means, losses.updates

    def _accumulate(
        self, step: int, micros: list[Batch], parameters: list[nn.Parameter]
    ) -> tuple[Losses, Means, tuple[Tensor, ...]]:
        sums: dict[str, tuple[Tensor, ...]] = {}
        seen: list[dict[str, Term]] = []
        losses = Losses({})
        for micro, batch in enumerate(micros):
            losses = self._losses(step, micro, batch)
            for place, (name, term) in enumerate(losses.terms.items(), start=1):
                keep = place < len(losses.terms)
                new = torch.autograd.grad(term.total, parameters, retain_graph=keep, materialize_grads=True)
                if name in sums:
                    torch._foreach_add_(sums[name], new)
                else:
                    sums[name] = new
            seen.append({name: Term(t.total.detach(), t.count) for name, t in losses.terms.items()})
        means = self._means(seen)
        factors = {name: self._weight(name) / means.counts[name] for name in sums}
        combined = zip(*(torch._foreach_mul(sums[name], factor) for name, factor in factors.items()), strict=True)
        return losses, means, tuple(sum(parts[1:], start=parts[0]) for parts in combined)

    def _weight(self, term: str) -> float:
        return self.recipe.weights.get(term, 1.0)

    def _means(self, seen: list[dict[str, Term]]) -> Means:
        """Add sums and counts over microbatches and workers, then divide. A count of 0 divides as 1."""
        names = list(seen[0])
        unknown = sorted(self.recipe.weights.keys() - set(names))
        if unknown:
            raise ValueError(f"the recipe weighs terms that do not exist: {', '.join(unknown)}; there are {names}")
        sums = torch.stack(
            [
                torch.stack([torch.stack((t[n].total.detach().double(), t[n].count.double())) for n in names])
                for t in seen
            ]
        ).sum(0)
        workers.sum_over_workers([sums])
        totals, counts = sums.T.tolist()
        divisors = {name: max(count, 1.0) for name, count in zip(names, counts, strict=True)}
        terms = {name: total / divisors[name] for name, total in zip(names, totals, strict=True)}
        return Means(sum(self._weight(name) * mean for name, mean in terms.items()), terms, divisors)

    # Blame

    def _ids(self, micros: list[Batch]) -> list[int]:
        own = [int(sample) for micro in micros for sample in micro["sample"].tolist()]
        return workers.gather_numbers(own, self.device)

    @torch.no_grad()
    def _blame(self, step: int, micros: list[Batch]) -> list[int]:
        """The samples whose loss alone is not finite; all when examples are coupled or none is found alone."""
        found: list[int] = []
        if self.objective.couples is Coupling.NONE:
            for micro, batch in enumerate(micros):
                for i, sample in enumerate(batch["sample"].tolist()):
                    alone = self._losses(step, micro, {name: t[i : i + 1] for name, t in batch.items()})
                    if not all(bool(term.total.isfinite()) for term in alone.terms.values()):
                        found.append(sample)
        return workers.gather_numbers(found, self.device) or self._ids(micros)
