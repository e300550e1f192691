"""Notice a loss or gradient norm that jumps, from a running mean and deviation with a memory of about 100 steps."""

import math
from dataclasses import asdict, dataclass

MEMORY_STEPS = 100
QUIET_STEPS = 20  # nothing is called a spike before the statistics mean something


@dataclass
class SpikeWatch:
    """Running mean and variance of one number per step."""

    deviations: float
    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0

    def observe(self, value: float) -> bool:
        """Whether `value` lies more than so many deviations above the mean; takes it into the statistics.

        A spike counts as no more than the limit it crossed: one outlier must not hide the next, yet a lasting change
        of level becomes the new normal.
        """
        limit = self.mean + self.deviations * math.sqrt(self.variance)
        spike = self.seen >= QUIET_STEPS and value > limit
        value = min(value, limit) if spike else value
        self.seen += 1
        share = max(1 / self.seen, 1 / MEMORY_STEPS)
        change = value - self.mean
        self.mean += share * change
        self.variance = (1 - share) * (self.variance + share * change * change)
        return spike

    def state(self) -> dict[str, float]:
        """All fields as JSON numbers (their decimal form restores them exactly)."""
        return asdict(self)
