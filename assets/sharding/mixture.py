"""Which component of a mixture stands at a position: shares that hold exactly in every mixture block.

Each run of `block` positions holds the same number of samples of each component, rounded by largest remainders, in an
order that a keyed permutation draws anew for each run. So the share of a component is exact over any whole number of
blocks, and the n-th sample of a component has a position that arithmetic finds.
"""

from collections.abc import Sequence

import numpy as np

from headwater.assets.sharding.order import derive_key, permute


def largest_remainders(weights: Sequence[float], total: int) -> np.ndarray:
    """Whole numbers in the proportion of `weights` that sum to `total` (int64): Hamilton's method, first of ties."""
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights) * total
    counts = np.floor(shares).astype(np.int64)
    order = np.argsort(-(shares - counts), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return counts


class Mixture:
    """Endless sequence of components with the shares of `weights`, exact in every `block` positions."""

    def __init__(self, weights: Sequence[float], block: int = 1024, seed: int = 0) -> None:
        if not weights or min(weights) <= 0:
            raise ValueError(f"mixture weights must be above 0: {list(weights)}")
        self.counts = largest_remainders(weights, block)
        if self.counts.min() == 0:
            least = int(np.argmin(self.counts))
            raise ValueError(
                f"weight {weights[least]:g} of entry {least + 1} is below one sample in {block}: raise mixture_block"
            )
        self.block = block
        self._seed = seed
        self._stops = np.cumsum(self.counts)
        self._starts = self._stops - self.counts

    def component_at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Component at each position and the number of that sample within the component (both int64)."""
        number, place = np.divmod(np.atleast_1d(np.asarray(positions, dtype=np.int64)), self.block)
        drawn = permute(place, self.block, derive_key(self._seed, 2, number))
        component = np.searchsorted(self._stops, drawn, side="right")
        return component, number * self.counts[component] + drawn - self._starts[component]

    def position_of(self, component: int, indices: np.ndarray) -> np.ndarray:
        """Position at which the samples `indices` of a component stand (int64)."""
        number, rank = np.divmod(np.atleast_1d(np.asarray(indices, dtype=np.int64)), self.counts[component])
        key = derive_key(self._seed, 2, number)
        return number * self.block + permute(self._starts[component] + rank, self.block, key, inverse=True)
