"""A needle in a haystack: what stood once, anywhere in a long text, is to be told at its end.

The test by which long contexts are shown to be read (Kamradt 2023; 01.AI 2024, "Yi", arXiv:2403.04652, section 7.1):
over lengths and depths it gives a map. There the needle is a sentence and the question a prompt; here it is a run of
random tokens, and its first ones said again are the question, so that a network of any size can be asked. Only copying
helps: the tokens tell nothing of each other.
"""

from typing import Any

import torch
from torch import Tensor

from headwater.models.marks import draw_runs
from headwater.models.probes.needle.options import NeedleOptions
from headwater.models.probes.protocol import Fields, device_of, undisturbed
from headwater.models.probes.reading import left_to_right

_SEED = 0  # of the needles: the same for every network and seed


class Needle:
    """`recall`: the share of needles of which every token after the key is the likeliest, mean over the map's cells.

    Also for each length (`<length>_tokens/recall`) and for each cell (`<length>_tokens_at_<depth>_percent/recall`).
    """

    def __init__(self, options: NeedleOptions) -> None:
        self.options = options

    def measure(self, model: Any, train: Fields, test: Fields, seed: int) -> dict[str, float]:
        """Deterministic; neither the training examples nor the seed are used.

        Raises:
            ValueError: no test example is as long as the longest haystack, or the network does not read in order.
        """
        o, hay = self.options, self._haystacks(test)
        found: dict[str, float] = {}
        with undisturbed(model), torch.no_grad():
            for length in o.lengths:
                cells = {o.cell(length, depth): self._recall(model, hay, length, depth) for depth in o.depths}
                found |= {f"{length}_tokens/recall": sum(cells.values()) / len(cells)} | cells
        return {"recall": sum(found[f"{length}_tokens/recall"] for length in o.lengths) / len(o.lengths)} | found

    def _haystacks(self, test: Fields) -> Tensor:
        """`texts` rows of hay, as long as the longest needs it."""
        o = self.options
        wanted = o.lengths[-1] - (2 * o.tokens - 1)
        rows = test[o.field].long()[test[o.length] >= wanted]
        if not len(rows):
            longest = int(test[o.length].max())
            raise ValueError(f"needle needs texts of {wanted} tokens, and the longest held-out example has {longest}")
        return rows[torch.arange(o.texts) % len(rows), :wanted]

    def _recall(self, model: Any, hay: Tensor, length: int, depth: float) -> float:
        o, device = self.options, device_of(model)
        network = getattr(model, "network", model)
        told = o.tokens - o.key
        rows, right = self.hidden_in(hay, length, depth), 0
        for batch in rows.split(o.batch_size):
            states = left_to_right(network, batch[:, :-1].to(device), "needle")[:, -told:]
            likeliest = (states @ network.output_weight.T).argmax(dim=2).cpu()
            right += int((likeliest == batch[:, -told:]).all(dim=1).sum())
        return right / len(rows)

    def hidden_in(self, hay: Tensor, length: int, depth: float) -> Tensor:
        """Rows (B, length + 1): hay with a needle in it, and the whole needle again at the end.

        All but the last token is read; the tokens after the key are to be told.
        """
        o = self.options
        room = length - (2 * o.tokens - 1)
        # One draw for each row and cell: a cell's needles do not depend on which other cells are asked.
        rng = torch.Generator().manual_seed((_SEED << 40) + (length << 12) + round(1000 * depth))
        drawn = draw_runs(lambda *shape: torch.rand(len(hay), *shape, generator=rng), o.ids, o.groups, 1, o.tokens)[
            :, 0
        ]
        before = round(depth * room)
        return torch.cat([hay[:, :before], drawn, hay[:, before:room], drawn], dim=1)
