"""The minima of sketches as array arithmetic in torch: the same numbers as the kernels', on a GPU where there is one.

A sketch holds, for each of K permutations of 32-bit hashes, the least value over a text's features. On a processor the
kernels keep features in the cache and never store them; here all features of some texts lie in one array, and each
permutation is a multiplication, an addition, a shift and a minimum over segments. Whole numbers have no rounding, so
that both ways agree in every bit, and which of them ran is no part of any identity.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headwater.assets.deduplication.normalise import Points, Rows

_MOST = (1 << 32) - 1


class Features(NamedTuple):
    """Features of texts one after the other: those of text i lie in [offsets[i], offsets[i + 1])."""

    hashes: Points
    shifts: npt.NDArray[np.uint8]  # by how many bits a feature's values are lowered; the more, the rarer
    offsets: Rows


def device_for(gpus: float) -> str | None:
    """The torch device of a task that reserves GPUs; None for the kernels, which is what processors are best at."""
    if not gpus:
        return None
    import torch  # not for tasks that need none: it takes seconds to load

    return "cuda" if torch.cuda.is_available() else None


def least_values(features: Features, multipliers: Points, addends: Points, device: str) -> Points:
    """Minima (texts, permutations) of (multiplier * hash + addend) mod 2^32, shifted; 2^32 - 1 for no feature."""
    import torch

    texts = len(features.offsets) - 1
    hashes, shifts = (torch.from_numpy(part.astype(np.int64)).to(device) for part in features[:2])
    of_text = torch.repeat_interleave(
        torch.arange(texts, device=device), torch.from_numpy(np.diff(features.offsets)).to(device)
    )
    least = torch.full((len(multipliers), texts), _MOST, dtype=torch.int64, device=device)
    for number, (multiplier, addend) in enumerate(zip(multipliers.tolist(), addends.tolist(), strict=True)):
        # Products wrap at 64 bits, which leaves their low 32 bits right.
        values = ((hashes * multiplier + addend) & _MOST) >> shifts
        least[number].scatter_reduce_(0, of_text, values, "amin")
    return np.ascontiguousarray(least.T.cpu().numpy().astype(np.uint32))
