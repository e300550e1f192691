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

from headwater.models.objectives.protocol import Coupling, Losses, Objective, Step
from headwater.models.objectives.together import Together
from headwater.models.trainer import state as storage
from headwater.models.trainer import workers
from headwater.models.trainer.composition import FutureTeacherOptions
from headwater.models.trainer.gradients import Batch, Means, Problem, gradients
from headwater.models.trainer.options import RecipeOptions
from headwater.models.trainer.phases import matching, trainable_at, weight, weights_at
from headwater.models.trainer.precision import uses_bfloat16
from headwater.models.trainer.reports import NonFiniteLoss, StepReport
from headwater.models.trainer.schedules import multiplier
from headwater.models.trainer.spikes import SpikeWatch
from headwater.models.trainer.teachers import Teachers, average
from headwater.models.trainer.updates import Update, Updates


class Batches(Protocol):
    """The data of a run: a pure function of the step."""

    def __call__(self, step: int) -> Batch:
        """This worker's share of the step's batch: fields with examples first, `sample` (int64 ids) among them."""


class Outcome(NamedTuple):
    """How a run ended: updates made in all, the last step's report (None when there was none), the saved state."""

    step: int
    last: StepReport | None
    saved: Path | None


class Trainer:
    """Trains `model` on `batches` by one objective, or several by name, as `recipe` says.

    `teachers` are networks from elsewhere that the recipe names (each with `.model` and `.heads`). `on_step` is called
    after every step on every worker, `on_save(folder, step)` on the first worker after a state is complete on disk.
    Raises ValueError when the objective cannot be trained as asked.
    """

    def __init__(
        self,
        recipe: RecipeOptions,
        model: nn.Module,
        objective: Objective | Mapping[str, Objective],
        batches: Batches,
        *,
        device: str | torch.device = "cpu",
        teachers: Mapping[str, Any] | None = None,
        on_step: Callable[[StepReport], None] | None = None,
        on_save: Callable[[Path, int], None] | None = None,
    ) -> None:
        self.recipe, self.batches = recipe, batches
        self.objective = Together(objective if isinstance(objective, Mapping) else {"": objective})
        self.on_step, self.on_save = on_step, on_save
        self.device = torch.device(device)
        self.model = model.to(self.device)
        torch.manual_seed(recipe.seed)  # heads draw their first weights from the default generator
        self.heads = self.objective.heads(cast("Mapping[str, int]", getattr(model, "dims", {}))).to(self.device)
        self.memory = self.objective.memory().to(self.device)
        named = [*model.named_parameters(), *((f"heads.{name}", p) for name, p in self.heads.named_parameters())]
        self.parameters = {name: p for name, p in named if p.requires_grad}
        outer = frozenset(getattr(model, "outer_parameters", ())) | {
            n for n in self.parameters if n.startswith("heads.")
        }
        patterns = {*recipe.trainable, *(name for phase in recipe.phases for name in phase.trainable or [])}
        learning = {name: self.parameters[name] for name in matching(self.parameters, sorted(patterns))}
        self.updates = Updates(recipe, learning, outer)
        self.teachers = Teachers(recipe.teachers, self.model, self.heads, teachers or {})
        self.low_precision = uses_bfloat16(recipe.precision, self.device)
        self.watches = {name: SpikeWatch(recipe.spike_deviations) for name in ("loss", "gradient_norm")}
        self.step = 0
        self._refuse_impossible()
        if recipe.compile:
            model.compile()

    def _refuse_impossible(self) -> None:
        share = -(-self.recipe.batch_size // workers.world_size())
        cut = (self.recipe.micro_batch_size or share) < share
        coupled = self.objective.couples is not Coupling.NONE or getattr(self.model, "couples_batch", False)
        exact = self.objective.can_be_cut and not getattr(self.model, "couples_batch", False)
        if (workers.world_size() > 1 and coupled) or (cut and not exact):
            names = ", ".join(type(one).__name__ for one in self.objective.objectives.values())
            network = type(self.model).__name__
            why = (
                f"the batch normalisation of {network} lets the examples of a batch influence each other"
                if getattr(self.model, "couples_batch", False)
                else f"{names} over {network} couples the examples of a batch ({self.objective.couples.value})"
            )
            raise ValueError(f"{why}: its batch cannot be cut; unset micro_batch_size and use one worker")

    # State

    def resume(self, folder: Path) -> int:
        """Take up the newest state in `folder`, which every worker must see; returns the step to go on at, or 0.

        Raises ValueError when the state is damaged, of another model, or of a recipe with other data or update rule.
        """
        saved = storage.load(folder)
        if saved is None:
            return 0
        self._refuse_other_recipe(saved.facts["recipe"], folder)
        parts: dict[str, Batch] = {"heads": {}, "memory": {}, "optimizer": {}, "teachers": {}}
        for name, tensor in saved.trainer.items():
            part, _, key = name.partition(".")
            parts[part][key] = tensor
        try:
            self.model.load_state_dict(saved.model)
            self.heads.load_state_dict(parts["heads"])
            self.memory.load_state_dict(parts["memory"])
            self.teachers.load(parts["teachers"])
        except RuntimeError as error:
            raise ValueError(f"the state in {folder} is of another model: {error}") from error
        self.updates.load(parts["optimizer"])
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
            "optimizer": self.updates.state(),
            "teachers": self.teachers.state(),
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
        multiple = multiplier(self.recipe.schedule, step, self.recipe.steps)
        for name, options in self.teachers.futures.items():
            self._look_ahead(step, micros, name, options, multiple)
        means, norm, rate = Means(0.0, {}, {}), 0.0, 0.0
        written: dict[str, Tensor] = {}
        for number, update in self.updates.due(step):
            own, size, rate, changed = self._update(step, micros, number, update, multiple)
            means = Means(means.loss + own.loss, means.terms | own.terms, means.counts | own.counts)
            norm, written = math.hypot(norm, size), written | changed
        for name, value in written.items():
            self.memory.get_buffer(name).copy_(value.detach())
        self.teachers.follow(self.model, self.heads, (step + 1) / self.recipe.steps)
        spikes = [self.watches[name].observe(v) for name, v in (("loss", means.loss), ("gradient_norm", norm))]
        counted = int(max(means.counts.values(), default=0))
        seconds = time.perf_counter() - started
        return StepReport(step, means.loss, means.terms, rate, norm, counted, seconds, data_seconds, any(spikes))

    def _update(
        self, step: int, micros: list[Batch], number: int, update: Update, multiple: float
    ) -> tuple[Means, float, float, dict[str, Tensor]]:
        """Make one update; returns its means, the norm of its gradient, its rate and new memory."""
        update.optimizer.forget_gradients()
        names = set(matching(self.parameters, trainable_at(self.recipe, step)))
        learning = {name: p for name, p in update.parameters.items() if name in names}
        means, found, written = self._gradients(step, micros, number, list(learning.values()), update.terms)
        if not math.isfinite(means.loss):
            raise NonFiniteLoss(step, self._blame(step, micros), means.loss)
        for parameter, gradient in zip(learning.values(), found, strict=True):
            parameter.grad = gradient
        size = float(nn.utils.clip_grad_norm_(learning.values(), self.recipe.clip_norm or math.inf))
        if not math.isfinite(size):
            raise NonFiniteLoss(step, self._ids(micros), means.loss, "gradient")
        return means, size, update.optimizer.step(multiple), written

    @torch.no_grad()
    def _look_ahead(
        self, step: int, micros: list[Batch], name: str, options: FutureTeacherOptions, multiple: float
    ) -> None:
        """Average the student that virtual steps lead to into a teacher, and put the student back."""
        first = self.updates.all[0]
        parameters: list[Tensor] = list(first.parameters.values())
        before = [parameter.detach().clone() for parameter in parameters]
        for _ in range(options.steps):
            with torch.enable_grad():
                slopes = self._gradients(step, micros, 0, list(first.parameters.values()), first.terms)[1]
            torch._foreach_add_(parameters, slopes, alpha=-first.optimizer.peak * multiple * options.rate)
        average(self.teachers.by_name[name], self.model, self.heads, options.momentum)
        torch._foreach_copy_(parameters, before)

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

    def _step_of(self, step: int, update: int, micro: int, batch: Batch) -> Step:
        """What the objective sees of a microbatch, with every generator seeded for it."""
        # Updates after the first have numbers of their own; with one update nothing but step and place matters.
        entropy = (self.recipe.seed, step, workers.rank(), micro, *([update] if update else []))
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
        # Dropout and the like draw from the default generators. torch.manual_seed does it too, but keeps a note, with
        # a formatted stack, for each kind of device that is not here: a millisecond in every step.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed_all(seed)
        rng = torch.Generator(self.device).manual_seed(seed)
        progress = step / self.recipe.steps
        return Step(batch, self.model, self.teachers.by_name, self.heads, self.memory, progress, rng)

    def _gradients(
        self,
        step: int,
        micros: list[Batch],
        number: int,
        parameters: list[nn.Parameter],
        terms: frozenset[str] | None,
    ) -> tuple[Means, tuple[Tensor, ...], dict[str, Tensor]]:
        weights, progress = weights_at(self.recipe, step), step / self.recipe.steps
        problem = Problem(
            objective=self.objective,
            step_of=lambda micro, batch: self._step_of(step, number, micro, batch),
            weight=lambda term: weight(weights, term, progress),
            parameters=parameters,
            forward=self._forward,
            terms=terms,
        )
        means, found, written = gradients(problem, micros)
        known = {*means.terms, *(name.partition("/")[0] for name in means.terms)}
        if terms is None and (unknown := sorted(weights.keys() - known)):
            raise ValueError(
                f"the recipe weighs terms that do not exist: {', '.join(unknown)}; there are {sorted(means.terms)}"
            )
        return means, found, written

    def _forward(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision)

    def _losses(self, step: int, micro: int, batch: Batch) -> Losses:
        with self._forward():
            return self.objective.losses(self._step_of(step, 0, micro, batch))

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
