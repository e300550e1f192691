"""Learning-rate schedules as pure functions: (options, step, steps of the run) -> multiplier of the peak rate.

`step` counts updates from 0. Warm-up gives its first update 1/warmup_steps of the peak, not zero, so that no step is
wasted. Nothing is remembered between calls: a resumed run needs nothing but its step.
"""

import math
from collections.abc import Callable

from headwater.models.trainer.options import (
    ConstantOptions,
    CosineOptions,
    InfiniteOptions,
    Schedule,
    WarmupStableDecayOptions,
)


def _warmup(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / steps) if steps else 1.0


def _share(step: int, start: float, length: float) -> float:
    """How much of a phase is over, 0 to 1."""
    return min(1.0, max(0.0, (step - start) / length)) if length > 0 else float(step >= start)


def _half_cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def cosine(options: CosineOptions, step: int, steps: int) -> float:
    """Half a cosine from 1 after warm-up to `final` at `steps` (Loshchilov and Hutter, arXiv:1608.03983, eq. 5)."""
    if step < options.warmup_steps:
        return _warmup(step, options.warmup_steps)
    share = _share(step, options.warmup_steps, steps - options.warmup_steps)
    return options.final + (1 - options.final) * _half_cosine(share)


DECAYS: dict[str, Callable[[float], float]] = {
    "one_minus_sqrt": lambda share: 1 - math.sqrt(share),
    "linear": lambda share: 1 - share,
    "cosine": _half_cosine,
}


def warmup_stable_decay(options: WarmupStableDecayOptions, step: int, steps: int) -> float:
    """Constant until the last `decay_share` of the run; 1 - sqrt is the best shape in Hägele et al. 2024
    (arXiv:2405.18392, section 3)."""
    length = options.decay_share * steps
    decayed = DECAYS[options.shape](_share(step, steps - length, length))
    return min(_warmup(step, options.warmup_steps), options.final + (1 - options.final) * decayed)


def infinite(options: InfiniteOptions, step: int, steps: int) -> float:
    """Warm-up, cooldown to `constant`, constant without end, and on demand an exponential fall to `final`.

    Singh et al. 2025, "Beyond Cosine Decay" (arXiv:2503.02844), section 3. `steps` plays no part: the run may be
    lengthened at any time without changing what has been.
    """
    if step < options.warmup_steps:
        return _warmup(step, options.warmup_steps)
    if options.anneal_from is not None and step >= options.anneal_from:
        share = _share(step, options.anneal_from, options.anneal_steps)
        return options.constant * (options.final / options.constant) ** share
    share = _share(step, options.warmup_steps, options.cooldown_steps)
    if options.cooldown_shape == "cosine":
        return options.constant + (1 - options.constant) * _half_cosine(share)
    # 1 / sqrt(1 + a share), with a such that it meets the constant rate when the cooldown ends.
    return 1 / math.sqrt(1 + (options.constant**-2 - 1) * share)


def multiplier(schedule: Schedule, step: int, steps: int) -> float:
    """The multiplier of the peak learning rate for update `step` (from 0) of a run of `steps`."""
    match schedule:
        case ConstantOptions():
            return _warmup(step, schedule.warmup_steps)
        case CosineOptions():
            return cosine(schedule, step, steps)
        case WarmupStableDecayOptions():
            return warmup_stable_decay(schedule, step, steps)
        case InfiniteOptions():
            return infinite(schedule, step, steps)
