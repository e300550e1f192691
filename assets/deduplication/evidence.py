"""What a verifier measures of candidate pairs."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Measured = npt.NDArray[np.float64]


class Evidence(NamedTuple):
    """Measurements of pairs, one entry each; what is shared are shingles or words, as the verifier counts them.

    `similarity` is the share of both texts that is shared, `containment` that of the text with the greater such share.
    Verifiers that see where things stand add: `foreign`, the largest share of either text that one block without
    counterpart takes; `moved`, the share of what is shared that stands in another order; `boilerplate`, the share of
    words in phrases that the corpus has often.
    """

    similarity: Measured
    containment: Measured
    shared: npt.NDArray[np.int64]
    foreign: Measured | None = None
    moved: Measured | None = None
    boilerplate: Measured | None = None
