"""Cuts a long text where its encoding falls apart by itself, so that memory stays flat and the ids stay equal.

Byte-level tokenizers first cut a text into words by a regular expression, scanning from left to right without looking
back, and merge within words only. Where every such expression ends a word whatever follows, the text can be cut and the
parts encoded one after the other. For the expressions known here that holds
- after a letter that is followed by an ASCII character that is none: `\\p{L}+` takes all letters and nothing else;
- between a visible ASCII character and a space: no alternative takes a space after anything visible.
A tokenizer with another expression, a normalizer or a leading space of its own is never cut.
"""

import json
import re
from collections.abc import Iterator

from headwater.assets.fitting.bpe.patterns import PATTERNS

_BOUNDARY = re.compile(
    r"(?<=[A-Za-zÀ-ÖØ-öø-ÿΑ-ΡΣ-ωА-яぁ-ゖァ-ヺ一-鿋가-힣])(?=[\x00-@\[-`{-\x7f])"  # a letter, then no letter
    r"|(?<=[!-~])(?= )"  # something visible, then a space
)


def can_be_cut(tokenizer_json: str) -> bool:
    """Whether the words of this tokenizer are cut by one of the expressions that the rule above was shown for."""
    content = json.loads(tokenizer_json)
    if content["normalizer"] is not None or any(not token["special"] for token in content["added_tokens"]):
        return False
    step = content["pre_tokenizer"] or {}
    if step.get("type") == "ByteLevel":
        return not step["add_prefix_space"] and step["use_regex"]
    steps = step.get("pretokenizers", [])
    if [s["type"] for s in steps] != ["Split", "ByteLevel"]:
        return False
    split, bytes_ = steps
    known = split["pattern"].get("Regex") in PATTERNS.values()
    plain = split["behavior"] == "Isolated" and not split["invert"]
    return known and plain and not bytes_["add_prefix_space"] and not bytes_["use_regex"]


def cut(text: str, size: int) -> Iterator[str]:
    """Adjoining parts of `text`, each cut at the first boundary after `size` (1 or more) characters."""
    start = 0
    while len(text) - start > size:
        boundary = _BOUNDARY.search(text, start + size)
        if boundary is None:
            break
        yield text[start : boundary.start()]
        start = boundary.start()
    yield text[start:]
