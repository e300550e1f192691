"""What the trainer tells of a step, and how it stops when the numbers break."""

from typing import NamedTuple


class StepReport(NamedTuple):
    """One optimizer step. `step` counts from 0; times are wall-clock seconds of this worker."""

    step: int
    loss: float  # weighted sum of the terms' means over the whole batch of all workers
    terms: dict[str, float]  # each term's mean
    learning_rate: float
    gradient_norm: float  # before clipping
    tokens: int  # things the largest term counted, over all workers: predicted tokens for a language model
    seconds: float  # the whole step, waiting for data included
    data_seconds: float
    spike: bool


class NonFiniteLoss(ArithmeticError):
    """The loss or its gradient is not a finite number; nothing was updated.

    `samples` are the ids whose own loss is not finite, or all of the step's when no single one is to blame.
    """

    def __init__(self, step: int, samples: list[int], loss: float, what: str = "loss") -> None:
        self.step, self.samples, self.loss = step, samples, loss
        shown = ", ".join(map(str, samples[:8])) + (f" and {len(samples) - 8} more" if len(samples) > 8 else "")
        super().__init__(
            f"step {step}: the {what} is not finite (loss {loss}); samples {shown}. The weights are as before this "
            "step. Look at these samples' documents, lower the learning rate or lengthen its warm-up, and resume."
        )
