"""The order of samples as arithmetic: which sample stands at a position of an epoch, and at which position a sample.

Blocks are permuted, then the samples within windows of a few blocks, so that a reader that goes along the order stays
within a window's blocks. Both permutations are keyed Feistel networks with cycle walking (Black and Rogaway 2002,
"Ciphers with arbitrary finite domains", section 4): no table is kept, any position of any epoch is found at once, and
back. The numbers mix well for shuffling; they are no cipher.
"""

from dataclasses import dataclass

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = tuple(np.uint64(r * int(_GOLDEN) % 2**64) for r in range(6))  # what tells the rounds' keys apart
_ONE = np.uint64(1)


def mix(values: np.ndarray | np.uint64) -> np.ndarray:
    """Scramble uint64 one to one: the finaliser of SplitMix64 (Steele, Lea and Flood 2014, figure 17)."""
    z = np.asarray(values, dtype=np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def derive_key(*parts: int | np.ndarray) -> np.ndarray:
    """A key (uint64) from whole numbers of at least 0, each a scalar or an array; arrays are broadcast."""
    key = np.zeros((), dtype=np.uint64)
    for part in parts:
        # Arrays of one dimension wrap silently where scalars would warn of the overflow that is meant here.
        key = mix(np.atleast_1d(key) * _GOLDEN + np.asarray(part).astype(np.uint64) + _ONE)
    return key


def permute(values: np.ndarray, size: np.ndarray | int, key: np.ndarray, inverse: bool = False) -> np.ndarray:
    """Apply to each of `values` (int64, in [0, size)) its own keyed permutation of [0, size), or undo it."""
    values, sizes, keys = np.broadcast_arrays(np.atleast_1d(values).astype(np.uint64), size, key)
    sizes, keys = sizes.astype(np.uint64), keys.astype(np.uint64)
    result = _network(values, sizes, keys, inverse)
    # The network permutes the next power of two; walking on from values outside leads back inside.
    outside = np.flatnonzero(result >= sizes)
    while len(outside):
        result[outside] = _network(result[outside], sizes[outside], keys[outside], inverse)
        outside = outside[result[outside] >= sizes[outside]]
    return result.astype(np.int64)


def _network(values: np.ndarray, sizes: np.ndarray, keys: np.ndarray, inverse: bool) -> np.ndarray:
    """Feistel rounds on the bits of [0, 2^b), the smallest such range that holds `sizes`; the halves may be unequal."""
    low_bits = _bit_length(sizes - _ONE) >> _ONE
    high_mask = (_ONE << (_bit_length(sizes - _ONE) - low_bits)) - _ONE
    low_mask = (_ONE << low_bits) - _ONE
    high, low = values >> low_bits, values & low_mask
    rounds = list(enumerate(_ROUNDS))
    for number, constant in reversed(rounds) if inverse else rounds:
        round_key = keys + constant
        if number % 2:
            low = low ^ (mix(high ^ round_key) & low_mask)
        else:
            high = high ^ (mix(low ^ round_key) & high_mask)
    return high << low_bits | low


def _bit_length(values: np.ndarray) -> np.ndarray:
    """Bits of each value: frexp gives the exponent, exact below 2^53."""
    return np.frexp(values.astype(np.float64))[1].astype(np.uint64)


class Permutation:
    """A keyed permutation of [0, n) that needs no memory."""

    def __init__(self, n: int, key: int) -> None:
        if not 0 < n < 1 << 53:
            raise ValueError(f"cannot permute {n} numbers")
        self.n = n
        self._key = derive_key(key)

    def forward(self, i: np.ndarray) -> np.ndarray:
        """The numbers that stand at the places `i`."""
        return permute(i, self.n, self._key)

    def inverse(self, j: np.ndarray) -> np.ndarray:
        """The places at which the numbers `j` stand."""
        return permute(j, self.n, self._key, inverse=True)


@dataclass(frozen=True)
class SampleOrder:
    """Endless order of the samples [0, samples) of a stream: each epoch is another permutation of them all.

    `block_samples` adjoining samples are a block, the last one possibly shorter; `window_blocks` blocks are shuffled
    together.
    """

    samples: int
    block_samples: int
    window_blocks: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.samples, self.block_samples, self.window_blocks) < 1:
            raise ValueError(f"an order needs at least one sample, block and window: {self}")

    @property
    def blocks(self) -> int:
        """Number of blocks, the short one included."""
        return -(-self.samples // self.block_samples)

    def sample_at(self, positions: np.ndarray) -> np.ndarray:
        """Sample at each position of the endless order (int64): position // samples is the epoch."""
        epoch, place = np.divmod(np.atleast_1d(np.asarray(positions, dtype=np.int64)), self.samples)
        short = self._short_slot(epoch)
        window = self._window_at(place, short)
        inside = place - self._window_start(window, short)
        drawn = permute(inside, self._window_size(window, short), derive_key(self.seed, epoch, 1, window))
        # `drawn` counts samples along the window's slots; after the short block the count lags by what it lacks.
        short_end = (short - window * self.window_blocks) * self.block_samples + self._short_rows
        lagging = (short // self.window_blocks == window) & (drawn >= short_end)
        slot, row = np.divmod(drawn + lagging * self._lack, self.block_samples)
        block = permute(window * self.window_blocks + slot, self.blocks, derive_key(self.seed, epoch, 0))
        return block * self.block_samples + row

    def position_of(self, samples: np.ndarray | int, epoch: np.ndarray | int) -> np.ndarray:
        """Position in the endless order at which each sample stands in an epoch (int64)."""
        samples, epoch = np.broadcast_arrays(np.atleast_1d(np.asarray(samples, dtype=np.int64)), epoch)
        block, row = np.divmod(samples, self.block_samples)
        slot = permute(block, self.blocks, derive_key(self.seed, epoch, 0), inverse=True)
        short = self._short_slot(epoch)
        window, local = np.divmod(slot, self.window_blocks)
        lagging = (short // self.window_blocks == window) & (slot > short)
        drawn = local * self.block_samples + row - lagging * self._lack
        key = derive_key(self.seed, epoch, 1, window)
        inside = permute(drawn, self._window_size(window, short), key, inverse=True)
        return epoch * self.samples + self._window_start(window, short) + inside

    @property
    def _short_rows(self) -> int:
        return self.samples - (self.blocks - 1) * self.block_samples

    @property
    def _lack(self) -> int:
        """Samples that the last block is short of."""
        return self.block_samples - self._short_rows

    def _short_slot(self, epoch: np.ndarray) -> np.ndarray:
        """Place of the last, short block among the permuted blocks of each epoch."""
        epochs, where = np.unique(epoch, return_inverse=True)
        slots = permute(np.array([self.blocks - 1]), self.blocks, derive_key(self.seed, epochs, 0), inverse=True)
        return slots[where]

    def _window_at(self, place: np.ndarray, short: np.ndarray) -> np.ndarray:
        full = self.window_blocks * self.block_samples
        beyond = place >= (short // self.window_blocks + 1) * full - self._lack
        return (place + beyond * self._lack) // full

    def _window_start(self, window: np.ndarray, short: np.ndarray) -> np.ndarray:
        full = self.window_blocks * self.block_samples
        return window * full - (window > short // self.window_blocks) * self._lack

    def _window_size(self, window: np.ndarray, short: np.ndarray) -> np.ndarray:
        slots = np.minimum(self.window_blocks, self.blocks - window * self.window_blocks)
        return slots * self.block_samples - (window == short // self.window_blocks) * self._lack
