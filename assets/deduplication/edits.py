"""Copies of a text as they occur: reworded all over, put into another order, partly replaced.

They are planted where it must be known what is a copy: for the estimate of what deduplication finds (`estimate`), and
in the labelled sets of the benchmarks. A word is a run without white space; in scripts written without spaces, two
ideographs or up to three letters of a syllabary.
"""

import re
from collections.abc import Sequence

import numpy as np

CJK = "\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff々"
WORD = re.compile(rf"[\u3400-\u9fff\uf900-\ufaff々]{{1,2}}|[\u3041-\u309f]{{1,3}}|[\u30a0-\u30ff]+|[^\s{CJK}]+")
HARD = 0.35  # of a body replaced in one block make another document of it
_BLOCK_WORDS = (25, 75)
_FEW_LINES = 12

Random = np.random.Generator


def reworded(text: str, share: float, vocabulary: Sequence[str], rng: Random) -> str:
    """A share of the words, all over the text, is dropped or (as often) replaced by words of the vocabulary."""
    spans = [match.span() for match in WORD.finditer(text)]
    fate = rng.random(len(spans))
    others = rng.integers(len(vocabulary), size=len(spans))
    pieces, at = [], 0
    for (start, end), luck, other in zip(spans, fate, others, strict=True):
        if luck < share:
            pieces += [text[at:start], vocabulary[other] if luck < share / 2 else ""]
            at = end
    return "".join([*pieces, text[at:]])


def reordered(text: str, rng: Random) -> str:
    """Blocks of lines, of 25 to 75 words each, in another order; a text of few lines is cut at its sentences."""
    lines = text.splitlines()
    if len(lines) < _FEW_LINES:
        lines = re.findall(r"\S.*?(?:[.!?;。！？；]+|\Z)", text, re.DOTALL)
    blocks: list[list[str]] = [[]]
    words, wanted = 0, int(rng.integers(*_BLOCK_WORDS))
    for line in lines:
        blocks[-1].append(line)
        words += len(WORD.findall(line))
        if words >= wanted:
            blocks.append([])
            words, wanted = 0, int(rng.integers(*_BLOCK_WORDS))
    return "\n".join("\n".join(blocks[place]) for place in rng.permutation(len(blocks)))


def part_replaced(text: str, donor: str, rng: Random, share: float = HARD) -> str:
    """A share of the words in one block gives way to as long a block of another text, repeated if it is short.

    Both texts must have a word.
    """
    own, others = ([match.span() for match in WORD.finditer(body)] for body in (text, donor))
    size = max(round(share * len(own)), 1)
    start = int(rng.integers(0, len(own) - size + 1))
    first = int(rng.integers(0, max(len(others) - size, 0) + 1))
    last = min(first + size, len(others)) - 1
    block = donor[others[first][0] : others[last][1]]
    missing = size - (last - first + 1)
    if missing > 0:
        block = " ".join([block, *(donor[slice(*others[at % len(others)])] for at in range(missing))])
    return text[: own[start][0]] + block + text[own[start + size - 1][1] :]
