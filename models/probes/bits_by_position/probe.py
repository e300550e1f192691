"""Whether a long context helps, or harms: bits of each token by how much of its text stands before it.

A network that reads farther than it was trained to shows it here first: beyond the trained length the bits rise, where
those of a network that reads all of it fall (Chen et al. 2023, arXiv:2306.15595, figure 2; Xiong et al. 2023,
arXiv:2309.16039, section 4.1).
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from headwater.models.probes.bits_by_position.options import BitsByPositionOptions
from headwater.models.probes.protocol import Fields, device_of, undisturbed
from headwater.models.probes.reading import left_to_right


class BitsByPosition:
    """`<first>_to_<end>/bits_per_token` of each stretch of the test texts that fill all of them."""

    def __init__(self, options: BitsByPositionOptions) -> None:
        self.options = options

    def measure(self, model: Any, train: Fields, test: Fields, seed: int) -> dict[str, float]:
        """Deterministic; neither the training examples nor the seed are used.

        Raises:
            ValueError: no test example is long enough, or the network does not read in order.
        """
        o, device = self.options, device_of(model)
        network, end = getattr(model, "network", model), self.options.edges[-1]
        rows = test[o.field].long()[test[o.length] >= end, :end]
        if not len(rows):
            longest = int(test[o.length].max())
            raise ValueError(f"bits_by_position needs texts of {end} tokens; the longest held-out one has {longest}")
        with undisturbed(model), torch.no_grad():
            told = [self._bits(network, batch.to(device)) for batch in rows.split(o.batch_size)]
        bits = torch.stack(told).sum(dim=0) / len(rows)
        stretches = [(first, stop) for first, stop in pairwise(o.edges)]
        # The first token of a text has nothing before it and is not told.
        return {f"{a}_to_{b}/bits_per_token": float(bits[max(a, 1) - 1 : b - 1].mean()) for a, b in stretches}

    def _bits(self, network: Any, tokens_BL: Tensor) -> Tensor:
        """Bits of each token but the first, summed over texts: (L - 1,), float64 on the CPU."""
        states = left_to_right(network, tokens_BL[:, :-1], "bits_by_position")
        logits = (states @ network.output_weight.T).float()
        told = logits.log_softmax(dim=2).gather(2, tokens_BL[:, 1:, None])[..., 0]
        return -told.double().sum(dim=0).cpu() / math.log(2)
