"""How a similarity threshold becomes bands and rows.

Two documents with Jaccard similarity s agree in one minimum with probability s, in a whole band of r with s^r, and in
at least one of b bands with 1 - (1 - s^r)^b: an S-shaped curve (Leskovec, Rajaraman and Ullman, Mining of Massive
Datasets, section 3.4.2). Of all the curves a signature affords, the one is chosen that errs least around the threshold.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headwater.assets.deduplication.options import MinHashOptions, Near, RareWordsOptions
from headwater.assets.deduplication.semantic_options import HyperplaneOptions

_STEPS = 1000  # grid of the numerical integrals; finer grids choose the same bands at every threshold in [0.05, 0.95]


def candidate_probability(similarity: npt.ArrayLike, bands: int, rows: int) -> npt.NDArray[np.float64]:
    """Probability that a pair of this Jaccard similarity shares at least one band: 1 - (1 - s^rows)^bands."""
    shares = np.asarray(similarity, dtype=np.float64)
    return 1.0 - (1.0 - shares**rows) ** bands


def expected_error(threshold: float, bands: int, rows: int, miss_weight: float) -> float:
    """Weighted area on the wrong side of the S-curve: candidates below the threshold and misses above it.

    Midpoint rule over similarities spread evenly in [0, 1]; `miss_weight` in [0, 1] weighs the misses.
    """
    middles = (np.arange(_STEPS) + 0.5) / _STEPS
    probability = candidate_probability(middles, bands, rows)
    needless = probability[middles < threshold].sum() / _STEPS
    missed = (1.0 - probability[middles >= threshold]).sum() / _STEPS
    return float((1.0 - miss_weight) * needless + miss_weight * missed)


@lru_cache(maxsize=64)
def optimal_bands(threshold: float, permutations: int, miss_weight: float = 0.5) -> tuple[int, int]:
    """(bands, rows) with bands * rows <= permutations and the least expected error; ties take fewer rows, then bands.

    For given rows only the curve's position changes with the bands, so every pair that fits is tried: the number of
    pairs grows as permutations * log(permutations).
    """
    best, choice = np.inf, (1, 1)
    for rows in range(1, permutations + 1):
        for bands in range(1, permutations // rows + 1):
            error = expected_error(threshold, bands, rows, miss_weight)
            if error < best - 1e-12:
                best, choice = error, (bands, rows)
    return choice


def band_names(bands: int) -> list[str]:
    """Names of the columns with the keys of so many bands, in their order."""
    return [f"band_{number:02d}" for number in range(bands)]


def bands_and_rows(options: Near) -> tuple[int, int]:
    """The declared bands and rows, or the ones derived from the threshold."""
    if options.bands is not None and options.rows is not None:
        return options.bands, options.rows
    assert isinstance(options, MinHashOptions)
    return optimal_bands(options.threshold, options.permutations, options.miss_weight)


class CurveAxis(NamedTuple):
    """What the curve of a kind of candidates goes by, and where on it the verifier's threshold lies."""

    similarity: str
    threshold: float


def curve_axis(near: Near, threshold: float) -> CurveAxis:
    """The axis of the curve, given the verifier's threshold.

    Words that both texts have in a share d of them (alignment) make a Jaccard similarity of d / (2 - d); vectors with a
    cosine c lie on the same side of a share 1 - arccos(c) / pi of the hyperplanes.
    """
    if isinstance(near, RareWordsOptions):
        return CurveAxis("weighted Jaccard similarity of the words", threshold / (2 - threshold))
    if isinstance(near, HyperplaneOptions):
        return CurveAxis("share of hyperplanes on the same side", float(1 - np.arccos(threshold) / np.pi))
    return CurveAxis("Jaccard similarity of the shingles", threshold)


def s_curve_points(options: Near, points: int = 101) -> tuple[npt.NDArray, npt.NDArray]:
    """Similarities evenly spread over [0, 1] and the probability of becoming a candidate at each, for a plot."""
    similarity = np.linspace(0.0, 1.0, points)
    return similarity, candidate_probability(similarity, *bands_and_rows(options))
