"""Reading token rows from left to right, as a causal language model does."""

from typing import Any

from torch import Tensor


def left_to_right(network: Any, tokens_BL: Tensor, asked: str) -> Tensor:
    """States (B, L, W), each of what the network has read up to there. `asked` says in an error who wants it.

    Raises:
        ValueError: the network has an encoder, or reads in both directions.
    """
    architecture = getattr(network.options, "architecture", "decoder")
    if architecture not in ("decoder", "prefix_decoder"):
        raise ValueError(f"{asked} needs a network that reads from left to right, and this is an {architecture}")
    states: Tensor = network(tokens_BL)
    return states
