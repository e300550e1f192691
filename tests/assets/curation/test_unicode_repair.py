"""Repair by kernels gives what ftfy gives, on texts made to deceive it and on real ones."""

import random
import unicodedata
from pathlib import Path

import ftfy
import numpy as np
import pyarrow as pa
import pytest
from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater.assets.curation import mojibake
from headwater.assets.curation.options import UnicodeRepair
from headwater.assets.curation.unicode_repair import _SOUND, SEGMENT, _examine_all, repair, repair_config

# What ftfy knows, and what normalisation, control characters and terminals are about.
_KNOWN = "".join(MOJIBAKE_CATEGORIES.values())
_OTHERS = [
    "\r\n",
    "\r",
    "\x1b[31m",
    "\x1b[",
    "\x1b",
    "\u2028",
    "\x85",
    "\ufeff",
    "\x00",
    "\u0301",
    "\u0327",
    "e",
    "ｈ",
    "ﬁ",
]
_PIECES = [
    *_KNOWN,
    *"abZ .\n×œÂÃà’°вЂ√²",
    *_OTHERS,
    "\u05b0",
    "\u05b1",
    "\u1112",
    "\u1161",
    "\u11ab",
    "\u212b",
    "漢",
    "😀",
]
PIECES = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)
ANY = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


def assert_repaired(texts, options):
    column = pa.array(texts, pa.large_string())
    mended, repaired = repair(column, options)
    expected = [ftfy.fix_text(text, repair_config(options)) for text in texts]
    assert mended.to_pylist() == expected
    assert repaired.tolist() == [new != old for new, old in zip(expected, texts, strict=True)]
    assert repaired.any() or mended is column


@pytest.mark.parametrize("fields", [{}, {"typography": True}, {"entities": True}], ids=lambda fields: "".join(fields))
@settings(max_examples=120, deadline=None)
@given(texts=st.lists(PIECES | ANY, max_size=30))
@example(
    texts=["\u05b1\x00\u05b0", "e\x00\u0301", "\x1b[3\u0664m", "\x1b[3\r1m", "Ã\x00 x", "a\rÂ b", "œ\r\nx", "\r\r\n\n"]
)
def test_repair_is_what_ftfy_does(fields, texts):
    assert_repaired(texts, UnicodeRepair(**fields))


def test_many_short_texts_of_suspicious_characters_are_repaired_as_by_ftfy():
    draw = random.Random(5)
    assert_repaired(["".join(draw.choices(_PIECES, k=draw.randint(1, 8))) for _ in range(8000)], UnicodeRepair())


def test_real_texts_are_repaired_as_by_ftfy():
    files = sorted(Path(ftfy.__file__).parent.glob("**/*.py")) + sorted(
        Path(unicodedata.__file__).parent.glob("test/*.txt")
    )
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    assert any(not text.isascii() for text in texts)
    assert_repaired(texts, UnicodeRepair())


def test_a_text_that_ftfy_takes_for_mojibake_is_never_found_sound():
    """Every alternative of ftfy's pattern, with characters drawn to match it."""
    draw = random.Random(3)
    words = ["".join(draw.choices([*_KNOWN, *"aA .×²œ"], k=draw.randint(1, 5))) for _ in range(20_000)]
    bad = [word for word in words if BADNESS_RE.search(word)]
    assert len(bad) > 2000
    data = np.frombuffer("".join(bad).encode(), np.uint8)
    stops = np.cumsum([len(word.encode()) for word in bad])
    places = np.stack([np.concatenate([[0], stops[:-1]]), stops], axis=1)
    verdicts = _examine_all(data, places, np.zeros(len(bad), np.bool_), _SOUND, *mojibake.suspicions(False))
    assert (verdicts & mojibake.MOJIBAKE > 0).all()


def test_another_form_of_the_pattern_makes_everything_beyond_ascii_suspicious(monkeypatch):
    for pattern in ("(é)x|üa", "abc", "ab|éü", "é?|ab", "|".join(f"é{letter}" for letter in map(chr, range(256, 330)))):
        monkeypatch.setattr(mojibake, "BADNESS_RE", mojibake.re.compile(pattern))
        kinds = mojibake.suspicions.__wrapped__(False).kinds
        assert (kinds[0x80:] & mojibake.MOJIBAKE).all()


def test_a_line_longer_than_ftfys_segment_is_cut_where_ftfy_cuts_it():
    long = "é" * (SEGMENT - 1)
    texts = [long + "Ã" + "© x", long + "\r\n", long + "e\u0301", "a" * SEGMENT + "\nÃ©", "😀" * SEGMENT + "\n\r"]
    assert_repaired(texts, UnicodeRepair())


def test_nulls_stay_and_slices_are_repaired_from_their_own_start():
    column = pa.array(["x\r\n", None, "schÃ¶n", "y"], pa.large_string())
    mended, repaired = repair(column.slice(1), UnicodeRepair())
    assert mended.to_pylist() == [None, "schön", "y"]
    assert repaired.tolist() == [False, True, False]
    assert repair(column.slice(0, 0), UnicodeRepair())[0].to_pylist() == []
