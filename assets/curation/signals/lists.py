"""Signals for lists: the host of a URL, the licence in SPDX's words, and occurrences of listed words."""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from headwater.assets.curation.licences import normalise_licence

__all__ = ["count_words", "normalise_licence", "url_host"]


def url_host(url: str | None) -> str | None:
    """The lower-case host name of a URL, with or without a scheme; None where there is none."""
    if not url or not url.strip():
        return None
    plain = url.strip()
    try:
        host = urlsplit(plain if "//" in plain else f"//{plain}").hostname
    except ValueError:  # such as an unclosed [ of an IPv6 address
        return None
    return host.strip(".") or None if host else None


@lru_cache(maxsize=16)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    # The longest first: where one entry begins another, the longer is found.
    ordered = sorted({" ".join(word.lower().split()) for word in words}, key=lambda word: (-len(word), word))
    choices = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in ordered) or "(?!)"  # no word: no match
    return re.compile(rf"(?<!\w)(?:{choices})(?!\w)")


def count_words(text: str, words: tuple[str, ...]) -> int:
    """Occurrences of listed words and phrases, whole and in any case."""
    return sum(1 for _ in _pattern(words).finditer(text.lower()))
