"""What every objective must bring to be tested: a case, and the laboratory that runs it.

A case says how to make options, a tiny student and batches, and has the loss once more: slowly, in NumPy, as the paper
writes it. The reference never calls the objective's code; it gets what the functions of student and teachers returned,
and the weights of heads and memory, as plain float64 arrays.
"""

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from headwater.models.objectives.options import ObjectiveOptions
from headwater.models.objectives.protocol import Losses, Step
from headwater.models.trainer.composition import FrozenTeacherOptions, TeacherOptions
from headwater.models.trainer.options import AdamWOptions, ConstantOptions, RecipeOptions
from headwater.models.trainer.reports import StepReport
from headwater.models.trainer.teachers import Teacher
from headwater.models.trainer.trainer import Trainer

Batch = dict[str, Tensor]
Arrays = dict[str, np.ndarray]
Sums = dict[str, tuple[float, float]]
EXAMPLES = 8


class Seen(NamedTuple):
    """What a reference may use of a network: outputs by the name of the function that gave them, in order of calls.

    Those of a head are named `heads.<name>`, for heads that are networks with tests of their own.
    """

    outputs: dict[str, list[Any]]
    weights: Arrays
    heads: Arrays


class Given(NamedTuple):
    """What a reference gets: everything as float64 (or integer) arrays."""

    batch: Arrays
    student: Seen
    teachers: dict[str, Seen]
    memory: Arrays
    options: Any
    progress: float


class Paper(NamedTuple):
    """An objective at the size of its paper: the student's sizes, and how many weights its heads must have."""

    options: ObjectiveOptions
    dims: dict[str, int]
    weights: int


@dataclass(frozen=True)
class Case:
    """One way to use an objective; see the fields."""

    options: ObjectiveOptions
    student: Callable[[int], nn.Module]  # seed → a tiny network
    batch: Callable[[int, int], Batch]  # (seed, step) → EXAMPLES examples; `sample` is added
    reference: Callable[[Given], Sums]  # term → (sum, count)
    paper: Paper
    invariances: Mapping[str, Callable[["Lab"], None]]  # name → raises AssertionError when it does not hold
    reads: frozenset[str] = frozenset()  # fields that the student itself reads
    teachers: Mapping[str, TeacherOptions] = field(default_factory=dict)
    updates: Callable[[Given], Arrays] | None = None  # memory buffer → new value; needed when it has updates
    rate: float = 0.01  # learning rate of the golden run
    learns: bool = True  # whether the golden run's loss must have fallen
    tolerance: float = 1e-4  # relative, between objective and reference

    def examples(self, seed: int, step: int) -> Batch:
        """A batch with the running numbers of its examples."""
        batch = self.batch(seed, step)
        return batch | {"sample": torch.arange(EXAMPLES) + 1000 * step}

    def trainer(self, seed: int = 5, reports: list[StepReport] | None = None, **recipe: Any) -> Trainer:
        """A trainer of the case on its own batches."""
        said: dict[str, Any] = {
            "seed": seed,
            "steps": 30,
            "batch_size": EXAMPLES,
            # A step of AdamW has the size of its rate however small the gradient. Where it is zero but for rounding,
            # as before a normalisation, its sign would be the processor's; epsilon makes such steps small.
            "optimizer": AdamWOptions(learning_rate=self.rate, epsilon=1e-4),
            "schedule": ConstantOptions(),
            "precision": "float32",
            "checkpoint_every_seconds": None,
            "teachers": dict(self.teachers),
        }
        return Trainer(
            RecipeOptions(**(said | recipe)),
            self.student(seed),
            self.options.build(),
            lambda step: self.examples(0, step),
            teachers={name: self.teacher(40 + place) for place, name in enumerate(self.teachers) if self._given(name)},
            on_step=None if reports is None else reports.append,
        )

    def teacher(self, seed: int) -> Teacher:
        """A network and heads of their own."""
        student = self.student(seed)
        torch.manual_seed(seed)
        return Teacher(student, self.options.build().heads(student.dims))

    def _given(self, name: str) -> bool:
        options = self.teachers[name]
        return isinstance(options, FrozenTeacherOptions) and options.training is not None


class Recorder:
    """Passes everything on to a network, and keeps what its functions return."""

    def __init__(self, inner: Any, outputs: dict[str, list[Any]], path: str = "") -> None:
        self._inner, self._outputs, self._path = inner, outputs, path

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._kept("forward", self._inner(*arguments, **named))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if isinstance(value, nn.ModuleDict):
            return {key: Recorder(part, self._outputs, f"{self._path}{name}.{key}.") for key, part in value.items()}
        if not callable(value) or isinstance(value, nn.Module):
            return value
        return lambda *arguments, **named: self._kept(name, value(*arguments, **named))

    def _kept(self, name: str, output: Any) -> Any:
        kept = tuple(array(one) for one in output) if isinstance(output, tuple) else array(output)
        self._outputs.setdefault(self._path + name, []).append(kept)
        return output


def array(tensor: Tensor) -> np.ndarray:
    """A tensor's values, in float64 when they are not whole numbers."""
    values = tensor.detach().cpu()
    return values.double().numpy() if values.is_floating_point() else values.numpy()


def arrays(tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> Arrays:
    """All values by name."""
    return {name: array(tensor) for name, tensor in dict(tensors).items()}


class Lab:
    """One objective with its student, heads, filled memory and teachers that differ from the student."""

    def __init__(self, case: Case, seed: int = 3, progress: float = 0.3) -> None:
        self.case, self.progress = case, progress
        self.objective = case.options.build()
        self.student = case.student(seed)
        torch.manual_seed(seed)
        self.heads = self.objective.heads(self.student.dims)
        self.memory = self.objective.memory()
        generator = torch.Generator().manual_seed(seed)
        for buffer in self.memory.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=generator))
        self.teachers = {name: case.teacher(seed + 1 + place) for place, name in enumerate(case.teachers)}

    def batch(self, seed: int = 1, step: int = 0) -> Batch:
        """A batch of the case."""
        return self.case.examples(seed, step)

    def step(self, batch: Mapping[str, Tensor], student: Any = None, teachers: Any = None) -> Step:
        """What the objective sees of a batch."""
        rng = torch.Generator().manual_seed(11)
        own = (student or self.student, teachers or self.teachers)
        return Step(batch, own[0], own[1], self.heads, self.memory, self.progress, rng)

    def losses(self, batch: Mapping[str, Tensor]) -> Losses:
        """The objective's losses of a batch."""
        torch.manual_seed(17)  # dropout
        return self.objective.losses(self.step(batch))

    def sums(self, batch: Mapping[str, Tensor]) -> Sums:
        """The objective's terms as numbers."""
        return numbers(self.losses(batch))

    def both(self, batch: Mapping[str, Tensor]) -> tuple[Losses, Given]:
        """The losses, and what a reference needs to find them by itself."""
        student: dict[str, list[Any]] = {}
        teachers: dict[str, dict[str, list[Any]]] = {name: {} for name in self.teachers}
        watched = {
            name: type("Watched", (), {"model": Recorder(teacher.model, teachers[name]), "heads": teacher.heads})
            for name, teacher in self.teachers.items()
        }
        memory = arrays(self.memory.named_buffers())
        hooks = [
            head.register_forward_hook(lambda _, __, out, name=name: student.setdefault(name, []).append(array(out)))
            for name, head in ((f"heads.{name}", head) for name, head in self.heads.items())
        ]
        torch.manual_seed(17)
        losses = self.objective.losses(self.step(batch, Recorder(self.student, student), watched))
        for hook in hooks:
            hook.remove()
        seen = {
            name: Seen(teachers[name], arrays(one.model.state_dict()), arrays(one.heads.state_dict()))
            for name, one in self.teachers.items()
        }
        own = Seen(student, arrays(self.student.state_dict()), arrays(self.heads.state_dict()))
        return losses, Given(arrays(batch), own, seen, memory, self.case.options, self.progress)


def numbers(losses: Losses) -> Sums:
    """Terms as (sum, count)."""
    return {name: (float(term.total.detach()), float(term.count)) for name, term in losses.terms.items()}


def same(first: Sums, second: Sums, tolerance: float) -> None:
    """Assert that two sets of terms agree; counts exactly, sums to a relative tolerance."""
    assert first.keys() == second.keys()
    for name, (total, count) in first.items():
        np.testing.assert_allclose(count, second[name][1], rtol=1e-6, err_msg=f"count of {name}")
        np.testing.assert_allclose(total, second[name][0], rtol=tolerance, atol=1e-6, err_msg=f"sum of {name}")


def unchanged(lab: Lab, change: Callable[[Batch], Batch], tolerance: float = 1e-4) -> None:
    """Assert that a change of the batch changes no term."""
    batch = lab.batch()
    same(lab.sums(batch), lab.sums(change(dict(batch))), tolerance)


def load_cases(folder: Path) -> dict[str, dict[str, Case]]:
    """The cases of every file in a folder: kind → variant → case."""
    found: dict[str, dict[str, Case]] = {}
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"objective_case_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found[path.stem] = module.CASES
    return found
