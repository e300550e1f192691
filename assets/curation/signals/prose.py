"""Signals of prose (Gopher, FineWeb, C4), computed from what the kernels counted."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation.signals import characters as c
from headwater.assets.curation.signals import lines as li
from headwater.assets.curation.signals import words as w
from headwater.assets.curation.transforms import POLICY_PHRASES

# RE2, over whole columns at once. \s is ASCII whitespace there.
_SENTENCE = r"[.!?][\"'”’)\]]*(?:\s|\z)"
_JAVASCRIPT_LINE = r"(?i)[^\n]*javascript[^\n]*"
_POLICY_LINE = f"(?i)[^\\n]*(?:{'|'.join(POLICY_PHRASES)})[^\\n]*"


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole as float64, NaN (stored as null) where the whole is 0."""
    part, whole = part.astype(np.float64), whole.astype(np.float64)
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def prose_signals(words: np.ndarray, lines: np.ndarray, characters: np.ndarray) -> dict[str, np.ndarray]:
    """The group `prose`, from the three kernels' counts."""
    count, filled = words[:, w.WORDS], lines[:, li.FILLED]
    return {
        "mean_word_length": ratio(words[:, w.WORD_CHARS], count),
        "hash_ratio": ratio(characters[:, c.HASHES], count),
        "ellipsis_ratio": ratio(characters[:, c.ELLIPSES], count),
        "bullet_line_fraction": ratio(lines[:, li.BULLETS], filled),
        "ellipsis_line_fraction": ratio(lines[:, li.ELLIPSES], filled),
        "alphabetic_word_fraction": ratio(words[:, w.ALPHABETIC_WORDS], count),
        "terminal_line_fraction": ratio(lines[:, li.TERMINALS], filled),
        "short_line_fraction": ratio(lines[:, li.SHORT], filled),
        "newline_word_ratio": ratio(lines[:, li.NEWLINES], count),
        "stop_words": words[:, w.STOP_WORDS],
    }


def c4_signals(text: pa.Array) -> dict[str, pa.Array]:
    """The group `c4`: counts of patterns in each text."""
    return {
        "lorem_ipsum": pc.count_substring(text, "lorem ipsum", ignore_case=True),
        "curly_brackets": pc.count_substring(text, "{"),
        "sentences": pc.count_substring_regex(text, _SENTENCE),
        "javascript_lines": pc.count_substring_regex(text, _JAVASCRIPT_LINE),
        "policy_lines": pc.count_substring_regex(text, _POLICY_LINE),
    }
