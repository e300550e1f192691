"""Fingerprints find every longer run of a text, tell nothing of others, and depend on their salt."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.withdrawal.fingerprints import (
    CERTAIN,
    PIECE,
    WINDOW,
    fingerprints,
    found_in,
    normalised,
    piece_hashes,
    pieces_at,
)

SALT = b"a salt"
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=0, max_size=300)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, before=TEXTS, after=TEXTS, at=st.integers(0, 300))
def test_every_long_run_is_found(text: str, before: str, after: str, at: int) -> None:
    joined = normalised(text)
    run = joined[at : at + CERTAIN]
    wanted = fingerprints(text, SALT)
    try:
        inside = run.decode()
    except UnicodeDecodeError:
        return
    if len(run) < CERTAIN or normalised(inside) != run:
        return
    assert len(found_in(before + " " + inside + " " + after, SALT, wanted)) >= 1


def test_each_window_keeps_its_least_hash() -> None:
    text = " ".join(str(number * number) for number in range(200))
    hashes = piece_hashes(normalised(text), SALT)
    slow = {int(hashes[first : first + WINDOW].min()) for first in range(len(hashes) - WINDOW + 1)}
    assert set(fingerprints(text, SALT).tolist()) == slow
    assert len(slow) < len(hashes) / 8


def test_pieces_hash_their_bytes_alone() -> None:
    text = bytes(range(32, 127)) * 3
    hashes = piece_hashes(text, SALT)
    assert len(hashes) == len(text) - PIECE + 1
    for at in (0, 7, 60, len(hashes) - 1):
        assert piece_hashes(text[at : at + PIECE], SALT)[0] == hashes[at]
    assert len(set(hashes.tolist())) == 95  # the text repeats every 95 bytes


def test_white_space_and_case_hide_nothing_and_another_salt_finds_nothing() -> None:
    text = "The quick brown fox jumps over the lazy dog, and then over two more lazy dogs by the river."
    wanted = fingerprints(text, SALT)
    assert len(found_in(text.upper().replace(" ", "\n\t "), SALT, wanted)) == len(wanted)
    assert len(found_in(text, b"another salt", wanted)) == 0
    assert (
        len(found_in("something else altogether, of about the same length as the sentence above it", SALT, wanted)) == 0
    )


def test_long_texts_are_searched_like_short_ones() -> None:
    wanted = fingerprints("a needle of some length, " + " ".join(map(str, range(1000, 1040))), SALT)
    hay = " ".join(map(str, range(20_000)))
    hashes = np.unique(piece_hashes(normalised(hay), SALT))
    assert len(hashes) > 1 << 15
    assert found_in(hay, SALT, wanted).tolist() == np.intersect1d(hashes, wanted).tolist()
    assert len(found_in(hay, SALT, wanted)) > 0


def test_short_texts_have_no_fingerprints() -> None:
    assert len(fingerprints("x" * (PIECE - 1), SALT)) == 0
    assert len(fingerprints("y" * PIECE, SALT)) == 1
    assert len(found_in("", SALT, np.array([1], dtype=np.uint64))) == 0


def test_places_of_pieces_cover_the_text_that_was_found() -> None:
    text = " ".join(f"word{number}" for number in range(40))
    runs = pieces_at(f"before {text} after", SALT, fingerprints(text, SALT))
    covered = sum(stop - start for start, stop in runs)
    assert covered > 0.5 * len(text)
    assert runs[0][0] >= len("before ")
    assert runs[-1][1] <= len("before ") + len(text)
