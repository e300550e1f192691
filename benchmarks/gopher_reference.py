"""Gopher's document rules as one would write them down in Python: what the compiled signals have to agree with.

Rae et al. 2021, arXiv:2112.11446, A.1.1 and Table A1. Where the paper leaves a choice, it is made as in Headwater's
signals: words are what whitespace parts; lines and paragraphs are compared without the whitespace around them, and
blank lines are no lines; shares of characters leave whitespace out on both sides; a first occurrence is no duplicate.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence

STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
TOP = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
_AROUND = re.compile(r"^[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+|[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+$")
_BULLET = re.compile(r"[•‣▶◀◦■□▪▫–]|[*-](?:\s|$)")


def failed_quality(text: str) -> list[str]:
    """The rules of quality that a document fails, in the order of the rule set `gopher_quality`."""
    words, lines = text.split(), _filled_lines(text)
    if not words:
        return ["min_words", "min_stop_words"]
    stop_words = STOP_WORDS & {_AROUND.sub("", word).lower() for word in words}
    fails = {
        "min_words": len(words) < 50,
        "max_words": len(words) > 100_000,
        "min_mean_word_length": sum(map(len, words)) / len(words) < 3,
        "max_mean_word_length": sum(map(len, words)) / len(words) > 10,
        "max_hash_ratio": text.count("#") / len(words) > 0.1,
        "max_ellipsis_ratio": (text.count("...") + text.count("…")) / len(words) > 0.1,
        "max_bullet_line_fraction": sum(bool(_BULLET.match(line)) for line in lines) / len(lines) > 0.9,
        "max_ellipsis_line_fraction": sum(line.endswith(("...", "…")) for line in lines) / len(lines) > 0.3,
        "min_alphabetic_word_fraction": sum(any(map(str.isalpha, word)) for word in words) / len(words) < 0.8,
        "min_stop_words": len(stop_words) < 2,
    }
    return [name for name, failed in fails.items() if failed]


def failed_repetition(text: str) -> list[str]:
    """The rules of repetition that a document fails, in the order of the rule set `gopher_repetition`."""
    words, lines, paragraphs = text.split(), _filled_lines(text), _paragraphs(text)
    if not words:
        return []
    chars, line_chars = sum(map(len, words)), sum(map(len, lines))
    twice, again = _repeated(lines), _repeated(paragraphs)
    fails = {
        "max_duplicate_line_fraction": len(twice) / len(lines) > 0.3,
        "max_duplicate_paragraph_fraction": len(again) / len(paragraphs) > 0.3,
        "max_duplicate_line_char_fraction": sum(map(len, twice)) / line_chars > 0.2,
        "max_duplicate_paragraph_char_fraction": sum(len("".join(part)) for part in again) / line_chars > 0.2,
    }
    fails |= {f"max_top_{n}_gram_char_fraction": min(_top(words, n) / chars, 1) > most for n, most in TOP.items()}
    fails |= {f"max_duplicate_{n}_gram_char_fraction": _duplicate(words, n) / chars > m for n, m in DUPLICATE.items()}
    return [name for name, failed in fails.items() if failed]


def _filled_lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.split("\n")) if line]


def _paragraphs(text: str) -> list[tuple[str, ...]]:
    """Runs of lines that are not blank."""
    found: list[list[str]] = [[]]
    for line in map(str.strip, text.split("\n")):
        if line:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [tuple(lines) for lines in found if lines]


def _repeated(items: Sequence[Hashable]) -> list[Hashable]:
    seen: set[Hashable] = set()
    found = []
    for item in items:
        if item in seen:
            found.append(item)
        seen.add(item)
    return found


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[at:] for at in range(n)), strict=False))


def _top(words: Sequence[str], n: int) -> int:
    """Characters in all occurrences of the most frequent n-gram that occurs twice, the longest among equals."""
    counts = Counter(_grams(words, n))
    most = max(counts.values(), default=0)
    return most * max(len("".join(gram)) for gram, count in counts.items() if count == most) if most > 1 else 0


def _duplicate(words: Sequence[str], n: int) -> int:
    """Characters of the words within n-grams that occurred before, each word once."""
    seen, covered_to, chars = set(), 0, 0
    for at, gram in enumerate(_grams(words, n)):
        if gram in seen:
            chars += sum(map(len, words[max(at, covered_to) : at + n]))
            covered_to = at + n
        seen.add(gram)
    return chars
