"""Something to copy in every text: a run of random tokens at one place, and the same run again further on.

Whoever is to find a needle in a long text must have seen that what stands there may be asked for later. Small models
do not learn that from natural text within a few hundred steps; Yi's continuation on long text has questions beside it
whose answers recite a paragraph (01.AI 2024, arXiv:2403.04652, section 7.1). Copies at random distances up to the
whole text are the plainest such data (Olsson et al. 2022, arXiv:2209.11895, measure induction by them).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from headwater.models.marks import draw_runs
from headwater.models.views.planted_copies.options import PlantedCopiesOptions
from headwater.models.views.protocol import ExampleRandom


class PlantedCopies:
    """Cuts a row into 2 x `copies` equal stretches, joins them in random pairs, and puts a run into both of a pair.

    The places within the stretches are random, so distances go from a run's length to the whole row. No token of the
    runs occurs twice in a row's draw: the first token of a run is a key that fits one place alone.
    """

    def __init__(self, options: PlantedCopiesOptions) -> None:
        self.options = options

    def __call__(self, batch: Mapping[str, Tensor], random: ExampleRandom) -> dict[str, Tensor]:
        """The rows (B, L) int64 with runs in them, and `loss_mask` (B, L) bool.

        Raises:
            ValueError: rows are too short for so many runs.
        """
        o = self.options
        tokens = batch[o.field].long()
        length = tokens.shape[1]
        stretch = length // (2 * o.copies)
        if stretch < o.tokens:
            raise ValueError(f"rows of {length} tokens have no room for {o.copies} pairs of runs of {o.tokens} tokens")
        low, high = self._starts(random, stretch)
        runs = draw_runs(random.uniform, o.ids, o.groups, o.copies, o.tokens)
        told = batch[o.loss_mask].bool() if o.loss_mask in batch else torch.ones_like(tokens, dtype=torch.bool)
        whole = self._within_a_document(batch, low, high)
        steps = torch.arange(o.tokens, device=tokens.device)
        for starts, untold in ((low, o.tokens), (high, o.untold)):
            # What is not planted is written to a column behind the row, and cut off.
            places = torch.where(whole[..., None], starts[..., None] + steps, length).flatten(1)
            tokens = _written(tokens, places, runs.flatten(1))
            hidden = (steps >= untold).expand_as(runs).flatten(1)
            told = told & _written(torch.ones_like(told), places, hidden)
        return {o.field: tokens, o.loss_mask: told}

    def _starts(self, random: ExampleRandom, stretch: int) -> tuple[Tensor, Tensor]:
        """Where each pair's runs begin, the earlier and the later place: (B, copies) each."""
        o = self.options
        chosen = random.order(2 * o.copies)
        within = random.integers(0, stretch - o.tokens + 1, 2 * o.copies)
        pairs = (chosen * stretch + within).view(-1, o.copies, 2)
        return pairs.amin(dim=2), pairs.amax(dim=2)

    def _within_a_document(self, batch: Mapping[str, Tensor], low: Tensor, high: Tensor) -> Tensor:
        """Which pairs lie in one document from the first token of the earlier to the last of the later run."""
        o = self.options
        if o.segments is None:
            return torch.ones_like(low, dtype=torch.bool)
        segments = batch[o.segments]
        # Documents lie one behind the other: equal numbers at both ends, and none between that begins anew.
        changes = torch.zeros_like(segments, dtype=torch.int64)
        changes[:, 1:] = (segments[:, 1:] != segments[:, :-1]).long()
        number = changes.cumsum(dim=1)
        return number.gather(1, low) == number.gather(1, high + o.tokens - 1)


def _written(rows: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Rows (B, L) with values (B, N) at places (B, N); the place L is nowhere."""
    wider = torch.cat([rows, rows[:, :1]], dim=1).scatter(1, places, values)
    return wider[:, :-1]
