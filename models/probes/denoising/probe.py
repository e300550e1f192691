"""How well a network writes what a view hid from it, whether or not it was trained on that view.

So networks pretrained in different ways are asked the same: fill a short gap, fill a long one, continue a beginning
(the tasks that Tay et al. 2023, "UL2", arXiv:2205.05131, section 3.1 unify). Only tokens of the text count, not the
sentinels between them, so that a network that never saw a sentinel is not charged for writing them.
"""

import math
from typing import Any

import torch
from torch import Tensor

from headwater.models.objectives.batches import within
from headwater.models.objectives.sequence_to_sequence.objective import states_before
from headwater.models.probes.denoising.options import DenoisingOptions
from headwater.models.probes.protocol import Fields, cut, device_of, undisturbed
from headwater.models.probes.reading import left_to_right
from headwater.models.views.pipeline import Views

_VIEW_SEED = 0  # the same for every network and seed: all are asked for the same tokens


class Denoising:
    """`bits_per_token` and `token_accuracy` (how often the likeliest is right) of the test examples' hidden tokens.

    With other modes also `other_modes_bits_per_token` and `other_modes_token_accuracy`: the mean over them.
    """

    def __init__(self, options: DenoisingOptions) -> None:
        self.options = options
        self._views = Views([options.view], _VIEW_SEED)

    def measure(self, model: Any, train: Fields, test: Fields, seed: int) -> dict[str, float]:
        """Deterministic; neither the training examples nor the seed are used.

        Raises:
            ValueError: no token is hidden, or a network with an encoder is asked to read in order.
        """
        figures = self._asked(model, test, self.options.mode)
        others = [self._asked(model, test, mode) for mode in self.options.other_modes]
        means = {f"other_modes_{n}": sum(one[n] for one in others) / len(others) for n in figures if others}
        return figures | means

    def _asked(self, model: Any, test: Fields, mode: int | None) -> dict[str, float]:
        """The figures when asked with one mode token, or none."""
        network, device = getattr(model, "network", model), device_of(model)
        bits, right, count = 0.0, 0, 0
        with undisturbed(model), torch.no_grad():
            for batch in cut(test, self.options.batch_size):
                fields = self._views({name: values.to(device) for name, values in batch.items()})
                hidden, targets = self._told(network, fields, mode)
                logits = (hidden @ network.output_weight.T).double()
                bits -= float(logits.log_softmax(1).gather(1, targets[:, None]).sum()) / math.log(2)
                right += int((logits.argmax(1) == targets).sum())
                count += len(targets)
        if not count:
            raise ValueError("denoising found no hidden token: are the texts longer than one token?")
        return {"bits_per_token": bits / count, "token_accuracy": right / count}

    def _told(self, network: Any, fields: Fields, mode: int | None) -> tuple[Tensor, Tensor]:
        """States (N, width) and the hidden tokens (N,) that they are to tell."""
        if self.options.reads == "in_order":
            return _in_order(network, fields["tokens"].long(), fields["hidden"])
        inputs, length, targets = (fields[name] for name in ("inputs", "inputs_length", "targets"))
        if mode is not None:
            inputs = torch.cat([torch.full_like(inputs[:, :1], mode), inputs], dim=1)
            length = length + 1
        hidden, told = states_before(network, inputs, length, targets, self.options.start)
        counted = told & within(fields["targets_length"], targets.shape[1])
        if self.options.uncounted is not None:
            first, last = self.options.uncounted
            counted &= (targets < first) | (targets > last)
        return hidden[counted], targets[counted]


def _in_order(network: Any, tokens: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """The same from one reading of the text (B, L), left to right; a hidden first token cannot be told and is left out.

    Raises:
        ValueError: the network has an encoder, or reads in both directions.
    """
    states, chosen = left_to_right(network, tokens[:, :-1], "reads: in_order"), hidden[:, 1:]
    return states[chosen], tokens[:, 1:][chosen]
