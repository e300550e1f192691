"""What a verifier measures of candidate pairs."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Evidence(NamedTuple):
    """Measurements of pairs, one entry each: Jaccard similarity, containment in the smaller set, shared shingles."""

    similarity: npt.NDArray[np.float64]
    containment: npt.NDArray[np.float64]
    shared: npt.NDArray[np.int64]
