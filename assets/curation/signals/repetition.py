"""Signals of repetition within a document, as Gopher defines them (Rae et al. 2021, A.1.1), from the kernels' counts.

Shares of characters leave whitespace between words, and around lines, out on both sides.
"""

import numpy as np

from headwater.assets.curation.signals import lines as li
from headwater.assets.curation.signals import words as w
from headwater.assets.curation.signals.grams import DUPLICATE_GRAMS, TOP_GRAMS
from headwater.assets.curation.signals.prose import ratio


def repetition_signals(words: np.ndarray, repeats: np.ndarray, lines: np.ndarray) -> dict[str, np.ndarray]:
    """The group `repetition`: repeats int64[texts, 9] are characters in the top 2, 3, 4 and repeated 5 to 10-grams."""
    chars = words[:, w.WORD_CHARS]
    shares = {
        # Occurrences of a top n-gram may overlap ("a a a"), so that their characters can exceed the text's.
        f"top_{n}_gram_char_fraction": np.minimum(ratio(repeats[:, n - 2], chars), 1.0)
        for n in TOP_GRAMS
    }
    shares |= {f"duplicate_{n}_gram_char_fraction": ratio(repeats[:, n - 2], chars) for n in DUPLICATE_GRAMS}
    return {
        "duplicate_line_fraction": ratio(lines[:, li.REPEATED], lines[:, li.FILLED]),
        "duplicate_line_char_fraction": ratio(lines[:, li.REPEATED_CHARS], lines[:, li.FILLED_CHARS]),
        "duplicate_paragraph_fraction": ratio(lines[:, li.REPEATED_PARAGRAPHS], lines[:, li.PARAGRAPHS]),
        "duplicate_paragraph_char_fraction": ratio(lines[:, li.REPEATED_PARAGRAPH_CHARS], lines[:, li.FILLED_CHARS]),
        **shares,
    }
