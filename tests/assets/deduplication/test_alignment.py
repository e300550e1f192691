"""Near-duplicates by alignment: evidence against plain Python, what holds of any texts, and copies as they occur."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from duplicate_oracle import ledger_of, table_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from slow_alignment import fit_with, hashes_of, phrases_of, slow_evidence, strings

from headwater.assets.deduplication.alignment_verifier import AlignmentVerifier
from headwater.assets.deduplication.driver import Deduplicated, deduplicate
from headwater.assets.deduplication.edits import part_replaced, reordered, reworded
from headwater.assets.deduplication.evidence import Evidence
from headwater.assets.deduplication.fit import Fit, fit_documents, fit_of
from headwater.assets.deduplication.options import AlignmentOptions, DeduplicationOptions, FitOptions

NOTHING_COMMON = fit_with({}, [], 5)
LENIENT = AlignmentOptions(longest_foreign=1.0)
ROUNDED = 1e-6  # of sums in 32 bits
_LETTERS = [f"{one}{two}" for one in "bcdfg" for two in "aeiou"] + ["深", "度", "学", "é", "É"]


SEEDS = st.integers(0, 2**32 - 1)


def _relatives(seed: int) -> tuple[str, str]:
    """A text from a small vocabulary, and another of pieces of it in any order with other words between and in them."""
    rng = np.random.default_rng(seed)
    vocabulary = [*_LETTERS, *(f"w{number}" for number in range(40))][: rng.integers(2, 64)]

    def drawn(most: int) -> list[str]:
        return [vocabulary[at] for at in rng.integers(0, len(vocabulary), rng.integers(0, most + 1))]

    base, other = [*drawn(60), vocabulary[0]], []
    for _ in range(rng.integers(1, 5)):
        start = int(rng.integers(0, len(base)))
        piece = base[start : start + int(rng.integers(1, 50))]
        for at in rng.integers(0, len(piece) + 1, rng.integers(0, 4)).tolist():
            piece = piece[:at] + drawn(int(rng.integers(0, 9))) + piece[at + int(rng.integers(0, 3)) :]
        other += drawn(4) + piece
    return " ".join(base), " ".join(other or [vocabulary[0]])


def _measured(texts: list[str], pairs: list[tuple[int, int]], options: AlignmentOptions, fit: Fit) -> list[tuple]:
    left, right = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    found = AlignmentVerifier(options, fit).measure(strings(texts), left, right)
    return list(zip(*(column.tolist() for column in found), strict=True))


def _one(left: str, right: str, options: AlignmentOptions = LENIENT, fit: Fit = NOTHING_COMMON) -> Evidence:
    return AlignmentVerifier(options, fit).measure(strings([left, right]), np.array([0]), np.array([1]))


def _compare(texts: tuple[str, str], limit: float, boilerplate_weight: float, fit: Fit) -> tuple[float, ...]:
    """Compares the evidence with that of plain Python; gives the latter."""
    options = AlignmentOptions(longest_foreign=limit, boilerplate_weight=boilerplate_weight)
    found = _measured(list(texts), [(0, 1)], options, fit)[0]
    wanted = slow_evidence(*texts, fit, options)
    similarity, containment, shared, longer, shorter, moved, boilerplate = wanted
    if longer > limit + 1e-5:
        assert found == (0.0, 0.0, 0, 1.0, 0.0, 0.0)
    elif longer < limit - 1e-5:  # a tie is decided by how sums are rounded
        assert found == pytest.approx(
            (similarity, containment, shared, max(longer, shorter), moved, boilerplate), abs=1e-5
        )
    return wanted


@settings(max_examples=300, deadline=None, derandomize=True)
@given(SEEDS, st.sampled_from([0.1, 0.22, 0.4, 1.0]), st.sampled_from([0.2, 0.5, 1.0]), st.integers(0, 12))
def test_evidence_is_that_of_plain_python(seed, limit, boilerplate_weight, phrases):
    texts, rng = _relatives(seed), np.random.default_rng(seed)
    every = sorted({phrase for text in texts for phrase in phrases_of(hashes_of(text), 2)})
    common = rng.choice(every, phrases).tolist() if every else []
    _compare(texts, limit, boilerplate_weight, fit_with({}, common, 2))


def test_the_texts_that_evidence_is_compared_on_have_all_there_is_to_measure():
    """Of 300 pairs, tens have counterparts, moved blocks, boilerplate, and foreign blocks between the limits."""
    found = [_compare(_relatives(seed), 1.0, 0.2, NOTHING_COMMON) for seed in range(300)]
    assert sum(0 < one[0] < 1 for one in found) > 100
    assert sum(one[5] > 0 for one in found) > 30
    assert sum(0.1 < one[3] < 0.4 for one in found) > 30


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(SEEDS, min_size=1, max_size=3), st.sampled_from([0.3, 1.0]))
def test_evidence_depends_on_the_two_texts_alone_and_lies_within_bounds(seeds, limit):
    options, texts = AlignmentOptions(longest_foreign=limit), [text for seed in seeds for text in _relatives(seed)]
    pairs = [(one, two) for one in range(len(texts)) for two in range(len(texts))]
    found = dict(zip(pairs, _measured(texts, pairs, options, NOTHING_COMMON), strict=True))
    for (one, two), evidence in found.items():
        assert evidence == found[two, one], "left and right are alike"
        assert [evidence] == _measured([texts[two], texts[one]], [(1, 0)], options, NOTHING_COMMON)
        similarity, containment, shared, foreign, moved, boilerplate = evidence
        assert 0.0 <= similarity <= containment + ROUNDED
        assert containment <= 1.0 + ROUNDED
        assert 0.0 <= foreign <= 1.0 + ROUNDED
        assert 0.0 <= moved <= 1.0
        assert boilerplate == 0.0
        both = Counter(hashes_of(texts[one])) & Counter(hashes_of(texts[two]))
        assert shared <= sum(both.values()), "no word is counterpart to two"
        assert (similarity > 0) == (shared > 0)


def test_no_share_is_above_one():
    assert _one("ba be be ba ba", "ba ba ba ba ba").foreign[0] <= 1.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(_LETTERS), min_size=1, max_size=60))
def test_a_text_is_its_own_counterpart_from_the_first_telling_neighbours_on(words):
    """Where all of it together does not tell enough for its length, there is no alignment at all."""
    hashes = hashes_of(" ".join(words))
    counts = Counter(hashes)
    bits = [math.log2(len(hashes) / counts[word]) for word in hashes]
    assume(len(hashes) > 1 and bits[0] + bits[1] > 4.0001 and min(bits) > 0.25)
    needed, earned = 2 * math.log2(len(hashes)) + 3, sum(bits) - 0.25 * len(bits)
    assume(abs(needed - earned) > 1e-3)
    text = " ".join(words)
    for evidence in _measured([text, f"({text})"], [(0, 1), (0, 0)], AlignmentOptions(), NOTHING_COMMON):
        expected = (1.0, 1.0, len(hashes), 0.0, 0.0, 0.0) if earned > needed else (0.0, 0.0, 0, 1.0, 0.0, 0.0)
        assert evidence == expected


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(_LETTERS[:12]), min_size=1, max_size=30))
def test_texts_without_a_common_word_have_nothing_in_common(words):
    other = [f"x{word}" for word in words]
    found = _measured([" ".join(words), " ".join(other)], [(0, 1)], LENIENT, NOTHING_COMMON)[0]
    assert found == (0.0, 0.0, 0, pytest.approx(1.0), 0.0, 0.0)


def test_one_word_is_too_little_and_no_pairs_give_no_evidence():
    assert (
        _measured(["word", "word", "another"], [(0, 1), (0, 2)], LENIENT, NOTHING_COMMON)
        == [(0.0, 0.0, 0, 1.0, 0.0, 0.0)] * 2
    )
    nothing = AlignmentVerifier(LENIENT, NOTHING_COMMON).measure(
        strings([]), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    )
    assert [len(column) for column in nothing if column is not None] == [0] * 6


def test_two_texts_without_a_word_have_nothing_in_common():
    assert _one("", "?!").similarity.tolist() == [0.0]


def test_a_text_without_a_word_has_nothing_in_common_with_another():
    assert _one("?!", "a b c").similarity.tolist() == [0.0]


def _numbered(first: int, last: int) -> list[str]:
    return [f"w{number}" for number in range(first, last)]


def _join(*parts: list[str]) -> str:
    return " ".join(word for part in parts for word in part)


@pytest.mark.parametrize("extra", [1, 3, 5])
def test_words_inserted_in_the_longer_text_cost_no_other_word_its_counterpart(extra):
    found = _one(_join(_numbered(0, 30)), _join(_numbered(0, 15), ["x"] * extra, _numbered(15, 30)))
    assert found.shared.tolist() == [30]


def test_words_inserted_in_the_shorter_text_cost_no_other_word_its_counterpart():
    found = _one(_join(_numbered(0, 15), ["x"], _numbered(15, 30)), _join(_numbered(0, 30), ["y", "z"]))
    assert found.shared.tolist() == [30]


@pytest.mark.parametrize(("replaced", "shared"), [(6, 22), (7, 20)])
def test_a_gap_of_six_words_is_bridged_and_one_of_seven_is_not(replaced, shared):
    """After it are too few words for an alignment of their own."""
    texts = [
        _join(_numbered(0, 20), [f"{letter}{number}" for number in range(replaced)], _numbered(20, 22), [letter])
        for letter in "xy"
    ]
    assert _one(*texts).shared.tolist() == [shared]


def _unique(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def test_an_alignment_ends_where_it_has_earned_most_first():
    """Half of the words of the shorter text are `a`, one bit each: eight of them earn back just what the gap cost."""
    begin, eight = _numbered(0, 20), ["a"] * 8
    one = _join(begin, _unique("x", 3), eight, _unique("z", 9), ["a"] * 24)
    assert _one(one, _join(begin, _unique("y", 3), eight, _unique("v", 40))).shared.tolist() == [20]
    more = _join(begin, _unique("x", 3), eight, ["b"], _unique("z", 8), ["a"] * 24)
    assert _one(more, _join(begin, _unique("y", 3), eight, ["b"], _unique("v", 40))).shared.tolist() == [29]


@pytest.mark.parametrize(("last_gap", "shared"), [(2, 54), (3, 50)])
def test_an_alignment_goes_on_until_it_has_lost_more_than_sixteen_bits(last_gap, shared):
    """Three gaps cost 9, 5 and 5 bits (or 6), and four words `a` between them earn three."""
    texts = [
        _join(
            _numbered(0, 20),
            _unique(f"{letter}a", 6),
            ["a"] * 2,
            _unique(f"{letter}b", 2),
            ["a"] * 2,
            _unique(f"{letter}c", last_gap),
            _numbered(20, 50),
            end,
        )
        for letter, end in (("x", ["a"] * 60 + _unique("z", 6 - last_gap)), ("y", _unique("v", 80)))
    ]
    assert _one(*texts).shared.tolist() == [shared]


def test_of_places_that_earn_the_same_the_earliest_is_taken():
    block, body = _numbered(0, 12), _numbered(20, 50)
    one, two = _join(block, body, _unique("x", 8), block), _join(body, _unique("y", 8), block, _unique("z", 30))
    assert _one(one, two).moved[0] == pytest.approx(12 / 42)


@pytest.mark.parametrize(("decoys", "shared"), [(3, 22), (4, 21)])
def test_an_alignment_is_tried_from_four_places(decoys, shared):
    """The fifth place of two neighbouring words is not tried: the alignment starts at the second of them."""
    block, end = _numbered(0, 20), [f"y{number}" for number in range(60)]
    others = [word for at in range(decoys) for word in ["p", "q", *(f"x{at}of{number}" for number in range(8))]]
    assert _one(_join(others, ["p", "q"], block), _join(["p", "q"], block, end)).shared.tolist() == [shared]


def test_the_place_where_the_last_alignment_ended_is_tried_though_earlier_ones_are_free():
    body, block = _numbered(30, 60), ["p", "q", *_numbered(0, 20)]
    decoys = [word for at in range(4) for word in ["p", "q", *_unique(f"x{at}of", 8)]]
    found = _one(_join(decoys, body, block), _join(body, _unique("y", 8), block, _unique("z", 40)))
    assert found.shared.tolist() == [52]


def test_each_of_two_alike_places_is_taken_only_once():
    block, rest = _numbered(0, 12), _numbered(20, 60)
    twice = _join(block, rest, block)
    assert _one(_join(rest, block), twice).shared.tolist() == [52]
    assert _one(_join(block, block, rest), twice).shared.tolist() == [64]


def test_earlier_places_are_tried_beside_the_expected_one():
    block, body, end = _numbered(0, 20), _numbered(30, 60), _numbered(70, 90)
    found = _one(_join(block, body, block[:2], end), _join(body, [*"abcdefghijklmnop"], block, [*"qrstuvwxyz"]))
    assert found.shared.tolist() == [50]


def test_a_block_at_another_place_is_moved_and_not_foreign():
    first, second, third = _numbered(0, 40), _numbered(40, 60), _numbered(60, 100)
    found = _one(_join(first, second, third), _join(first, third, second))
    assert (found.similarity[0], found.foreign[0], found.shared[0]) == (1.0, 0.0, 100)
    assert found.moved[0] == pytest.approx(0.2)


def test_a_block_moved_to_the_front_is_as_small_as_one_moved_to_the_end():
    texts = _join(_numbered(92, 100), _numbered(0, 92)), _join(_numbered(8, 100), _numbered(0, 8))
    moved = [_one(text, _join(_numbered(0, 100))).moved[0] for text in texts]
    assert moved == [pytest.approx(0.08)] * 2


def test_foreign_is_the_heaviest_block_of_either_text():
    """A block of ten words in 100, then one of eight, with a single counterpart between them: seventeen in all."""
    body = _numbered(0, 81)
    block = [f"x{n}" for n in range(10)] + ["w40"] + [f"y{n}" for n in range(8)]
    found = _one(_join(body), _join(body[:40], block, body[41:]))
    assert found.foreign[0] == pytest.approx(18 / 99, abs=0.011)
    shorter = _one(_join(body[:40]), _join(body))
    assert shorter.similarity[0] == pytest.approx(80 / 121)
    assert shorter.containment[0] == pytest.approx(1.0)
    assert shorter.foreign[0] == pytest.approx(41 / 81)
    assert _one(_join(body[:40]), _join(body), AlignmentOptions()).foreign[0] == 1.0


def test_both_limits_are_inclusive():
    verifier = AlignmentVerifier(AlignmentOptions(threshold=0.6, longest_foreign=0.25), NOTHING_COMMON)
    similarity, foreign = np.array([0.6, 0.599, 1.0, 1.0]), np.array([0.25, 0.0, 0.251, 0.0])
    zeros = np.zeros(4)
    evidence = Evidence(similarity, similarity, zeros.astype(np.int64), foreign, zeros, zeros)
    assert verifier.accepts(evidence).tolist() == [True, False, False, True]


@pytest.mark.parametrize(("foreign", "is_accepted"), [(11, True), (12, False)])
def test_a_block_of_just_the_largest_share_is_not_too_foreign(foreign, is_accepted):
    one, two = _join(_numbered(0, 50)), _join(_numbered(0, 50 - foreign), [f"x{number}" for number in range(foreign)])
    evidence = _one(one, two, AlignmentOptions())
    assert evidence.foreign[0] == (0.22 if is_accepted else 1.0)
    assert AlignmentVerifier(AlignmentOptions(), NOTHING_COMMON).accepts(evidence).tolist() == [is_accepted]


def test_few_rare_words_suffice_where_many_common_ones_do_not():
    """Five words that occur once tell enough; a run of digits as long does not, among as many others."""
    rare = _one(_join(_numbered(0, 7), _numbered(100, 140)), _join(_numbered(200, 240), _numbered(0, 7)))
    assert rare.shared.tolist() == [7]
    rng = np.random.default_rng(4)
    digits = [[str(number) for number in rng.integers(0, 2, 47)] for _ in range(2)]
    assert _one(_join(digits[0]), _join(digits[1])).shared.tolist() == [0]


# Texts as they occur. All is drawn from one seed; functions make words, the corpora are made of them.

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]


def _vocabulary(rng: np.random.Generator, size: int = 6000) -> list[str]:
    drawn = ["".join(rng.choice(_SYLLABLES, int(length))) for length in rng.integers(2, 5, size)]
    return list(dict.fromkeys(drawn))


def _prose(rng: np.random.Generator, words: list[str], count: int = 300) -> str:
    """Sentences in lines, of words spread as in any language: of rank r about as often as 1 / (r + 3)."""
    shares = 1 / (np.arange(len(words)) + 3)
    text = [words[at] for at in rng.choice(len(words), count, p=shares / shares.sum()).tolist()]
    return "\n".join(" ".join(text[at : at + 12]).capitalize() + "." for at in range(0, count, 12))


def _code(rng: np.random.Generator, words: list[str], functions: int = 9) -> str:
    lines = []
    for _ in range(functions):
        name, left, right, kind = (words[int(at)] for at in rng.integers(0, len(words), 4))
        lines += [
            f"def {name}_{kind}({left}, {right}=None):",
            f"    if {right} is None:",
            f"        {right} = make_{kind}({left}, size={int(rng.integers(2, 99))})",
            f"    for index, {kind} in enumerate({left}):",
            f"        {right}[index] += {kind}.{words[int(rng.integers(len(words)))]}()",
            f"    return {right}",
            "",
        ]
    return "\n".join(lines)


_RNG = np.random.default_rng(7)
_WORDS = _vocabulary(_RNG)
_PROSE = [_prose(_RNG, _WORDS) for _ in range(24)]
_CODE = [_code(_RNG, _WORDS) for _ in range(24)]
_TEXTS = _PROSE + _CODE
_FIT = fit_of(fit_documents(table_of(_TEXTS), FitOptions()), FitOptions())


def _verdicts(pairs: list[tuple[str, str]], fit: Fit = _FIT) -> tuple[Evidence, list[bool]]:
    verifier, texts = AlignmentVerifier(AlignmentOptions(), fit), [text for pair in pairs for text in pair]
    rows = np.arange(0, len(texts), 2)
    evidence = verifier.measure(strings(texts), rows, rows + 1)
    return evidence, verifier.accepts(evidence).tolist()


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.2])
def test_copies_with_words_dropped_and_replaced_are_accepted(share):
    rng = np.random.default_rng(8)
    donors = [text.split() for text in (_TEXTS[-1], *_TEXTS)]
    pairs = [(text, reworded(text, share, donor, rng)) for text, donor in zip(_TEXTS, donors, strict=False)]
    evidence, accepted = _verdicts(pairs)
    assert accepted == [True] * len(_TEXTS)
    assert evidence.similarity.mean() > 1 - 1.5 * share
    assert evidence.foreign.mean() < 0.01 + 0.3 * share
    assert np.median(evidence.moved) == 0.0


def test_blocks_in_another_order_are_accepted_as_moved():
    rng = np.random.default_rng(9)
    pairs = [(text, reordered(text, rng)) for text in _TEXTS]
    evidence, accepted = _verdicts([(one, two) for one, two in pairs if one.split() != two.split()])
    assert all(accepted)
    assert evidence.moved.min() > 0.0
    assert evidence.similarity.min() > 0.9


def test_a_third_replaced_in_one_block_is_refused_as_foreign():
    rng = np.random.default_rng(10)
    pairs = [(text, part_replaced(text, _TEXTS[at - 1], rng)) for at, text in enumerate(_TEXTS)]
    evidence, accepted = _verdicts(pairs)
    assert accepted == [False] * len(_TEXTS)
    assert evidence.foreign.min() > 0.22


def test_different_texts_are_refused():
    evidence, accepted = _verdicts([(text, _TEXTS[at - 1]) for at, text in enumerate(_TEXTS)])
    assert accepted == [False] * len(_TEXTS)
    assert evidence.foreign.min() > 0.22


def _table(rng: np.random.Generator, rows: int) -> str:
    head = "date,open,high,low,close,volume"
    numbers = [",".join(["2021-03-01", *(f"{value:.2f}" for value in rng.uniform(1, 99, 5))]) for _ in range(rows)]
    return "\n".join([head, *numbers])


@pytest.mark.parametrize("rows", [20, 120])
def test_two_tables_of_numbers_in_the_same_form_are_refused(rows):
    rng = np.random.default_rng(11)
    pairs = [(_table(rng, rows), _table(rng, rows)) for _ in range(8)]
    assert _verdicts(pairs)[1] == [False] * 8
    tables = [(table, reworded(table, 0.05, ["12.34"], rng)) for table, _ in pairs]
    assert _verdicts(tables)[1] == [True] * 8


_LICENCES = [_prose(_RNG, _WORDS, 72) for _ in range(2)]


def _with_common(*parts: str) -> Fit:
    """The fit of a corpus in which eight documents have each of these parts."""
    rng = np.random.default_rng(20)
    texts = [f"{part}\n{_prose(rng, _WORDS, 200)}" for _ in range(8) for part in parts]
    return fit_of(fit_documents(table_of(texts + _TEXTS), FitOptions()), FitOptions())


def test_the_same_body_below_different_licences_is_accepted_when_they_are_boilerplate():
    pairs = [(f"{_LICENCES[0]}\n{code}", f"{_LICENCES[1]}\n{code}") for code in _CODE]
    evidence, accepted = _verdicts(pairs, _with_common(*_LICENCES))
    assert accepted == [True] * len(pairs)
    assert 0.2 < evidence.boilerplate.min() <= evidence.boilerplate.max() < 0.8
    evidence, accepted = _verdicts(pairs)
    assert accepted == [False] * len(pairs)
    assert evidence.foreign.min() > 0.22


def test_different_bodies_in_the_same_frame_are_refused_when_it_is_boilerplate():
    frame = "\n".join(_LICENCES)
    bodies = [_prose(np.random.default_rng(40 + at), _WORDS, 30) for at in range(12)]
    pairs = [(f"{frame}\n{one}", f"{frame}\n{two}") for one, two in pairwise(bodies)]
    assert _verdicts(pairs)[1] == [True] * 11
    evidence, accepted = _verdicts(pairs, _with_common(frame))
    assert accepted == [False] * 11
    assert evidence.foreign.min() > 0.22


def _edges(done: Deduplicated) -> set[frozenset[str]]:
    return {frozenset((row["doc_id"], row["other_id"])) for row in done.edges.to_pylist() if row["kind"] == "near"}


def _copied(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """(copies of each text, the same with a third replaced in one block)."""
    shares, copies = (0.01, 0.05, 0.1, 0.2), []
    for at, text in enumerate(_TEXTS):
        other = _TEXTS[at - 1].split()
        copies.append(reordered(text, rng) if at % 5 == 4 else reworded(text, shares[at % 5], other, rng))
    return copies, [part_replaced(text, _TEXTS[at - 1], rng) for at, text in enumerate(_TEXTS)]


def test_copies_and_nothing_else_are_found_end_to_end_in_any_order_of_rows():
    rng = np.random.default_rng(12)
    copies, others = _copied(rng)
    code = [_code(rng, _WORDS, 5) for _ in range(8)]
    frame = _prose(rng, _WORDS, 100)
    licensed = [f"{_LICENCES[0]}\n{body}" for body in code]
    again = [f"{_LICENCES[1]}\n{body}" for body in code]
    pages = [f"{frame}\n{_prose(rng, _WORDS, size)}" for size in (200,) * 6 + (25,) * 6]
    pages += [f"{licence}\n{_prose(rng, _WORDS, 200)}" for licence in _LICENCES for _ in range(6)]
    tables = [_table(rng, 30) for _ in range(6)]
    texts = [*_TEXTS, *copies, *pages, *licensed, *again, *tables]
    pairs = [*zip(_TEXTS, copies, strict=True), *zip(licensed, again, strict=True)]
    places = {text: f"{at:04d}" for at, text in enumerate(texts)}
    planted = {frozenset((places[one], places[two])) for one, two in pairs}

    documents, ledger = table_of(texts), ledger_of(len(texts))
    done = deduplicate(documents, ledger, DeduplicationOptions(), {"web": 0})
    assert _edges(done) == planted
    assert done.decisions["kept"].to_pylist().count(False) == len(planted)
    near = [row for row in done.edges.to_pylist() if row["other_id"] in {places[text] for text in licensed}]
    assert min(row["boilerplate"] for row in near) > 0.2

    order = rng.permutation(len(texts))
    turned = deduplicate(documents.take(order), ledger.take(order), DeduplicationOptions(), {"web": 0})
    assert _edges(turned) == planted  # their evidence may differ: see test_common_phrases
    kept = dict(zip(turned.decisions["doc_id"].to_pylist(), turned.decisions["kept"].to_pylist(), strict=True))
    assert kept == dict(zip(done.decisions["doc_id"].to_pylist(), done.decisions["kept"].to_pylist(), strict=True))

    hard = table_of([*_TEXTS, *others])
    assert not _edges(deduplicate(hard, ledger_of(len(hard)), DeduplicationOptions(), {"web": 0}))
