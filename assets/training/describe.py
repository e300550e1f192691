"""What people see of a training: its curve, its figures, its checks.

Apart from the code that trains: an edit here changes no weight, so it does not count as a change of the step.
"""

import numpy as np

from headwater.assets.markdown import markdown_table
from headwater.assets.plots import loss_curve, thumbnail
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import CheckRecord
from headwater.assets.training.course import Course
from headwater.assets.training.curves import read_curve
from headwater.assets.training.replicate import Replicate
from headwater.models.backbones.building import parameter_counts

FEW_STEPS = 10  # below this the first and the last loss say nothing about learning
LEEWAY = 1.05  # of its first loss, for a training that goes on from another: it may have nothing left to learn


def describe_training(outcome: Outcome, replicates: list[Replicate]) -> None:
    """Adds figures, curves and checks of finished replicates to an outcome."""
    rows, ends, starts, spikes = [], [], [], 0
    for replicate in replicates:
        curve = read_curve(replicate.folder)
        losses = np.array([line["loss"] for line in curve])
        seconds = sum(line["seconds"] for line in curve)
        tokens = sum(line["tokens"] for line in curve)
        own_spikes = [line["step"] for line in curve if line["spike"]]
        told = np.array([line["loss"] for line in curve if line["tokens"]]) if tokens else losses  # holes have no loss
        starts.append(told[: max(len(told) // 50, 1)].mean())
        ends.append(told[-max(len(told) // 50, 1) :].mean())
        spikes += len(own_spikes)
        seed = replicate.recipe.seed
        rows.append([seed, f"{ends[-1]:.4f}", f"{tokens:,}", f"{tokens / max(seconds, 1e-9):,.0f}", len(own_spikes)])
        rates = [line["learning_rate"] for line in curve]
        steps = [line["step"] for line in curve]
        outcome.plots[f"Loss seed {seed}"] = loss_curve(steps, losses, _smoothed(losses), rates, own_spikes)
        outcome.markdown[f"loss of seed {seed}"] = f"{starts[-1]:.2f} → {ends[-1]:.2f} {thumbnail(steps, losses)}"
        outcome.metrics |= {f"tokens_seed_{seed}": tokens, f"seconds_seed_{seed}": round(seconds, 1)}
    first = replicates[0]
    counts = parameter_counts(first.backbone)
    outcome.metrics |= {
        "final_loss": round(float(np.mean(ends)), 5),
        "parameters": counts["total"],
        "parameters_hidden": counts["hidden"],
        "steps": first.recipe.steps,
        "segments": [segment.to_record() for segment in first.segments],
        "batch_size": first.recipe.batch_size,
        "seeds": [replicate.recipe.seed for replicate in replicates],
        "backbone": first.backbone.model_dump(mode="json"),
        "objectives": {name: one.model_dump(mode="json") for name, one in first.objectives.items()},
    }
    unit = first.unit
    per = " (nats per token)" if unit == "tokens" else ""
    header = ["seed", f"final loss{per}", f"{unit} counted", f"{unit} per second", "spikes"]
    outcome.markdown["replicates"] = markdown_table(header, rows)
    leeway = LEEWAY if first.start.source or first.start.hugging_face else 1.0
    outcome.checks = _checks(starts, ends, spikes, first.recipe.steps, leeway if unit == "tokens" else None)


def describe_course(outcome: Outcome, course: Course) -> None:
    """Adds where the constant phase ends, and what a retraining took up, replayed and saw for the first time."""
    if course.constant_until is None:
        return
    outcome.metrics["constant_steps"] = course.constant_until
    if course.base is None or course.growth is None:
        return
    own, growth = course.segments[-1], course.growth
    steps = course.constant_until - own.first_step
    outcome.metrics |= {
        "continued_from": course.base.digest,
        "new_tokens": growth.new_tokens,
        "new_steps": steps,
    }
    total = sum(share.weight for share in own.streams)
    rows = [
        [s.stream, "new" if growth.has_new(s) else "replayed", s.first, s.samples, f"{100 * s.weight / total:.1f} %"]
        for s in own.streams
    ]
    outcome.markdown["continued"] = (
        f"Goes on from checkpoint {course.base.digest[:8]} at step {own.first_step:,}: {steps:,} steps at the constant "
        f"rate for {growth.new_tokens:,} new tokens, then annealing.\n\n"
        + markdown_table(["stream", "samples", "first", "number", "share"], rows)
    )


def _checks(starts: list[float], ends: list[float], spikes: int, steps: int, leeway: float | None) -> list[CheckRecord]:
    """The last loss must lie below the first times `leeway`; None: a loss against a moving teacher may rise."""
    any_end = steps < FEW_STEPS or leeway is None
    pairs = zip(starts, ends, strict=True)
    learned = all(np.isfinite(end) and (any_end or end < (leeway or 1.0) * start) for start, end in pairs)
    note = f" {steps} steps are too few to judge by." if steps < FEW_STEPS else ""
    return [
        CheckRecord(
            name="learned",
            passed=learned,
            blocking=True,
            description=f"Loss from {np.mean(starts):.3f} to {np.mean(ends):.3f}.{note}",
        ),
        CheckRecord(name="spikes", passed=spikes == 0, blocking=False, description=f"Spikes recorded: {spikes}."),
    ]


def _smoothed(losses: np.ndarray) -> np.ndarray:
    """Exponential moving average over about a fiftieth of the run."""
    decay = 1 - 1 / max(len(losses) / 50, 1)
    smooth, mean = np.empty_like(losses), losses[0]
    for at, loss in enumerate(losses):
        mean = decay * mean + (1 - decay) * loss
        smooth[at] = mean
    return smooth
