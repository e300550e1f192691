"""After any sequence of refreshes the result is that of one full run, and of the rule applied to all pairs."""

import numpy as np
import pyarrow as pa
import pytest
from duplicate_oracle import all_pairs, decide_by_rule, edges_by_rule, shingles_of
from duplicate_strategies import OPTIONS, RANKS
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.deduplication.buckets import beyond_width, ranks
from headwater.assets.deduplication.decontamination import build_index
from headwater.assets.deduplication.driver import Deduplicated, deduplicate, deduplicate_again
from headwater.assets.deduplication.minhash import minhash
from headwater.assets.deduplication.options import (
    AlignmentOptions,
    DecontaminationOptions,
    DeduplicationOptions,
    ExactOptions,
    FitOptions,
    JaccardOptions,
    MinHashOptions,
    RareWordsOptions,
)
from headwater.assets.deduplication.population import alike
from headwater.assets.key_sets import KeySet

ITEM = "alpha beta gamma delta"
LEDGER = pa.schema([(name, pa.string()) for name in ("doc_id", "split", "source", "date")])
_EVALUATION = DecontaminationOptions(words=4, min_words=4)
_INDEX = build_index([("quiz", [ITEM])], _EVALUATION).table


def _tables(rows: list[dict]) -> tuple[pa.Table, pa.Table]:
    """(documents, ledger) of rows with doc_id, text, split, source and date."""
    ledger = pa.Table.from_pylist([{name: row[name] for name in LEDGER.names} for row in rows], schema=LEDGER)
    texts = pa.array([row["text"] for row in rows], pa.large_string())
    return pa.table({"doc_id": ledger["doc_id"], "text": texts}), ledger


def _options(width: int = 64, exact: bool = True) -> DeduplicationOptions:
    near = OPTIONS.near.model_copy(update={"bucket_width": width})
    changes = {"near": near, "exact": ExactOptions(enabled=exact), "decontamination": _EVALUATION}
    return OPTIONS.model_copy(update=changes)


class Corpus:
    """Documents that come and go, deduplicated again after each change."""

    def __init__(self, options: DeduplicationOptions) -> None:
        self.options = options
        self.rows: list[dict] = []
        documents, ledger = _tables([])
        self.state: Deduplicated = deduplicate(documents, ledger, options, RANKS, _INDEX)
        self.asked: list[str] = []

    def refresh(self, remove: set[str], add: list[dict]) -> None:
        _, ledger = _tables(self.rows)
        gone = np.array([at for at, row in enumerate(self.rows) if row["doc_id"] in remove], dtype=np.int64)
        self.rows = [row for row in self.rows if row["doc_id"] not in remove] + add
        texts = {row["doc_id"]: row["text"] for row in self.rows}

        def texts_of(ids: list[str]) -> dict[str, str]:
            self.asked += ids
            return {doc_id: texts[doc_id] for doc_id in ids}

        self.state = deduplicate_again(self.state, ledger, gone, _tables(add), texts_of, self.options, RANKS, _INDEX)

    def check(self) -> None:
        documents, ledger = _tables(self.rows)
        state, full = self.state, deduplicate(documents, ledger, self.options, RANKS, _INDEX)
        assert state.decisions["doc_id"].to_pylist() == ledger["doc_id"].to_pylist()
        assert state.decisions.equals(full.decisions)
        assert state.signatures.equals(full.signatures)
        assert state.left_out == full.left_out
        assert _sorted(state.edges).equals(_sorted(full.edges))
        self._check_rule(documents)

    def _check_rule(self, documents: pa.Table) -> None:
        edges, left_out = edges_by_rule(documents, self.rows, self.options, RANKS)
        names = ("doc_id", "other_id", "kind", "similarity")
        found = sorted(zip(*(self.state.edges[name].to_pylist() for name in names), strict=True))
        assert (found, self.state.left_out) == (edges, left_out)
        grams = shingles_of(ITEM, 4)
        tainted = {row["doc_id"] for row in self.rows if grams & shingles_of(row["text"], 4)}
        expected = decide_by_rule(self.rows, all_pairs(edges, [row["doc_id"] for row in self.rows]), RANKS, tainted)
        decisions = self.state.decisions
        assert dict(zip(decisions["doc_id"].to_pylist(), decisions["rule"].to_pylist(), strict=True)) == expected


def _sorted(edges: pa.Table) -> pa.Table:
    return edges.sort_by([(name, "ascending") for name in ("doc_id", "other_id", "kind")]).combine_chunks()


def _variants() -> list[str]:
    """Texts that resemble one another in chains: a base, one word changed (near it), one more (near that), copies."""
    found = []
    for base in ("one two three four five six seven eight", f"{ITEM} epsilon zeta eta theta"):
        words = base.split()
        once = [" ".join([*words[:at], "x", *words[at + 1 :]]) for at in range(0, 8, 2)]
        twice = [" ".join([*text.split()[:7], "y"]) for text in once]
        found += [base, base.upper(), f"{base} {base}", f"{base} nine", *once, *twice, once[0].title()]
    return [*found, "word", "Word!", "word ", ""]


_ROWS = st.fixed_dictionaries(
    {
        "text": st.sampled_from(_variants()),
        "split": st.sampled_from(["train", "train", "train", "train", "held_out"]),
        "source": st.sampled_from(sorted(RANKS)),
        "date": st.sampled_from([None, "2018", "2019-01-01", "2020-01-01", "2021-05-05"]),
    }
)
# What happens to each of a few documents in a refresh: it goes (if it is there), or it comes, or is changed, as given.
_FIRST = st.dictionaries(st.integers(0, 24), _ROWS, min_size=5, max_size=20)
_NEXT = st.lists(st.dictionaries(st.integers(0, 24), st.none() | _ROWS, max_size=5), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(_FIRST, _NEXT, st.sampled_from([1, 2, 3, 64]), st.sampled_from([True, True, False]))
def test_any_sequence_of_refreshes_gives_what_a_full_run_gives(first, following, width, exact):
    corpus = Corpus(_options(width, exact))
    for step in [first, *following]:
        changed = {f"{slot:02d}" for slot in step}
        corpus.refresh(changed, [{"doc_id": f"{slot:02d}", **row} for slot, row in step.items() if row is not None])
        corpus.check()


_SKETCHED = DeduplicationOptions(
    near=RareWordsOptions(bands=12, rows=2, least_agreement=0.3, min_words=2),
    verifier=AlignmentOptions(threshold=0.6, longest_foreign=0.4),
    fit=FitOptions(words=3, min_documents=2),
)


@settings(max_examples=60, deadline=None)
@given(_FIRST, _NEXT, st.sampled_from([1, 2, 64]), st.sampled_from([(2, 99), (9, 99), (2, 8)]))
def test_sequences_with_sketches_and_alignments_give_what_a_full_run_with_the_same_fit_gives(
    first, following, width, words
):
    bounds = {"bucket_width": width, "min_words": words[0], "max_words": words[1]}
    options = _SKETCHED.model_copy(update={"near": _SKETCHED.near.model_copy(update=bounds)})
    corpus = Corpus(options)
    corpus.rows = [{"doc_id": f"{slot:02d}", **row} for slot, row in first.items()]
    corpus.state = deduplicate(*_tables(corpus.rows), options, RANKS, _INDEX)
    for step in following:
        changed = {f"{slot:02d}" for slot in step}
        corpus.refresh(changed, [{"doc_id": f"{slot:02d}", **row} for slot, row in step.items() if row is not None])
        documents, ledger = _tables(corpus.rows)
        full = deduplicate(documents, ledger, options, RANKS, _INDEX, corpus.state.fit)
        assert corpus.state.decisions.equals(full.decisions)
        assert corpus.state.signatures.equals(full.signatures)
        assert corpus.state.left_out == full.left_out
        assert _sorted(corpus.state.edges).equals(_sorted(full.edges))


@pytest.mark.parametrize("bound", ["min_words", "max_words"])
def test_what_is_too_short_or_too_long_to_compare_stays_so_in_a_refresh(bound):
    limit = {"min_words": 12, "max_words": 99} if bound == "min_words" else {"min_words": 2, "max_words": 11}
    corpus = Corpus(DeduplicationOptions(near=RareWordsOptions(**limit)))
    short = "mawi buto wamu wodu migi zogo gabi ramo sito mimo fobe"
    texts = [short, short.replace("ramo", "ramo tapa")]
    first, second = texts if bound == "min_words" else texts[::-1]
    corpus.rows = [_row("a", first, 2005)]
    corpus.state = deduplicate(*_tables(corpus.rows), corpus.options, RANKS, _INDEX)
    corpus.refresh(set(), [_row("b", second, 2010)])
    full = deduplicate(*_tables(corpus.rows), corpus.options, RANKS, _INDEX, corpus.state.fit)
    assert corpus.state.decisions.equals(full.decisions)
    assert len(corpus.state.edges) == len(full.edges) == 0


def _row(doc_id: str, text: str, year: int, split: str = "train") -> dict:
    return {"doc_id": doc_id, "text": text, "split": split, "source": "web", "date": str(year)}


def _crowded(bands: int, texts: list[str], alike: list[list[int]], width: int = 1) -> Corpus:
    """A corpus of narrow buckets, whose band number n puts just the texts `alike[n]` into one bucket."""
    for seed in range(2000):
        minima, _ = minhash(pa.array(texts, pa.large_string()), 1, bands, seed)
        if all(np.flatnonzero(minima[:, n] == minima[rows[0], n]).tolist() == rows for n, rows in enumerate(alike)):
            near = MinHashOptions(words=1, permutations=bands, bands=bands, rows=1, bucket_width=width, seed=seed)
            verifier = JaccardOptions(threshold=0.5, words=1)
            return Corpus(_options().model_copy(update={"near": near, "verifier": verifier}))
    raise AssertionError("no seed puts the texts into these buckets")


def _rules(corpus: Corpus) -> dict[str, str | None]:
    corpus.check()
    decisions = corpus.state.decisions
    return dict(zip(decisions["doc_id"].to_pylist(), decisions["rule"].to_pylist(), strict=True))


def test_a_removal_lets_others_meet_in_a_crowded_bucket():
    texts = ["common p1 p2 p3 p4 p5", "common q1 q2 q3 q4", "common q1 q2 q3 q5"]
    corpus = _crowded(1, texts, [[0, 1, 2]])
    corpus.refresh(
        set(), [_row(name, text, year) for name, text, year in zip("abc", texts, (2000, 2001, 2002), strict=True)]
    )
    assert _rules(corpus) == {"a": None, "b": None, "c": None}
    corpus.refresh({"a"}, [])
    assert _rules(corpus) == {"b": None, "c": "near_duplicate"}


def test_an_edge_stands_as_long_as_one_shared_bucket_compares_its_ends():
    texts = ["u v q1 q2 q3 q4", "u v q1 q2 q3 q5", "u p1 p2 p3 p4 p5", "v r1 r2 r3 r4 r5"]
    corpus = _crowded(2, texts, [[0, 1, 2], [0, 1, 3]])
    corpus.refresh(set(), [_row("b", texts[0], 2010), _row("c", texts[1], 2011)])
    assert _rules(corpus) == {"b": None, "c": "near_duplicate"}
    corpus.refresh(set(), [_row("n", texts[2], 2001)])
    assert _rules(corpus) == {"b": None, "c": "near_duplicate", "n": None}
    corpus.refresh(set(), [_row("m", texts[3], 2002)])
    assert _rules(corpus) == {"b": None, "c": None, "n": None, "m": None}


def test_what_goes_takes_no_place_among_the_earliest():
    texts = ["u v q1 q2 q3 q4", "u v q1 q2 q3 q5", "u p1 p2 p3 p4 p5", "v r1 r2 r3 r4 r5"]
    corpus = _crowded(2, texts, [[0, 1, 2], [0, 1, 3]])
    corpus.refresh(set(), [_row("b", texts[0], 2010), _row("c", texts[1], 2011), _row("m", texts[3], 2002)])
    corpus.refresh({"m"}, [_row("n", texts[2], 2001)])
    assert _rules(corpus) == {"b": None, "c": "near_duplicate", "n": None}


def test_copies_take_no_place_among_the_earliest():
    texts = ["u v q1 q2 q3 q4", "u v q1 q2 q3 q5", "u p1 p2 p3 p4 p5", "u s1 s2 s3 s4 s5", "v r1 r2 r3 r4 r5"]
    corpus = _crowded(2, texts, [[0, 1, 2, 3], [0, 1, 4]], width=2)
    copies = [_row("r", texts[4], 2001), _row("s", texts[4], 2002)]
    corpus.refresh(set(), [_row("b", texts[0], 2010), _row("c", texts[1], 2011), *copies])
    corpus.refresh(set(), [_row("n", texts[2], 2001), _row("o", texts[3], 2002)])
    kept = {"b": None, "n": None, "o": None, "r": None}
    assert _rules(corpus) == kept | {"c": "near_duplicate", "s": "exact_duplicate"}


def test_an_earlier_copy_takes_over_the_edges_without_a_text_being_read():
    text = "one two three four five six seven eight"
    corpus = Corpus(_options())
    corpus.refresh(set(), [_row("b", text, 2010), _row("c", text + " nine", 2011)])
    assert _rules(corpus) == {"b": None, "c": "near_duplicate"}
    corpus.asked = []
    corpus.refresh(set(), [_row("a", text.upper(), 2000)])
    assert _rules(corpus) == {"a": None, "b": "exact_duplicate", "c": "near_duplicate"}
    corpus.refresh({"a", "b"}, [_row("z", text, 2020)])
    assert _rules(corpus) == {"c": None, "z": "near_duplicate"}
    assert (corpus.asked, corpus.state.verified) == ([], 0)


def test_a_bridge_that_goes_and_comes_back():
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    chain = [" ".join([f"x{at}" if at < count else word for at, word in enumerate(words)]) for count in (0, 1, 2)]
    corpus = Corpus(_options())
    rows = [_row(name, text, 2000 + at) for at, (name, text) in enumerate(zip("abc", chain, strict=True))]
    corpus.refresh(set(), [rows[0], rows[1]])
    corpus.refresh(set(), [rows[2]])
    before = _rules(corpus)
    corpus.refresh({"b"}, [])
    _rules(corpus)
    corpus.refresh(set(), [rows[1]])
    assert _rules(corpus) == before
    corpus.refresh({"a"}, [rows[0] | {"split": "held_out"}])
    assert _rules(corpus)["b"] == "near_held_out"


def test_nothing_that_changes_costs_nothing():
    corpus = Corpus(_options())
    corpus.refresh(set(), [_row("a", "one two three four", 2000), _row("b", "one two three four", 2001)])
    before, corpus.asked = corpus.state, []
    corpus.refresh(set(), [])
    assert corpus.asked == []
    assert corpus.state.edges.equals(before.edges)
    assert corpus.state.decisions.equals(before.decisions)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.lists(st.integers(0, 40), max_size=20))
def test_a_set_of_keys_finds_what_is_in_it(column, keys):
    spread = np.array([0, *range(1, 41)], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    rows, places = KeySet(spread[keys]).find(spread[column])
    expected = [row for row, number in enumerate(column) if number in set(keys)]
    assert rows.tolist() == expected
    assert np.unique(spread[keys])[places].tolist() == spread[column][expected].tolist()


def test_buckets_left_out_comparisons_and_ranks():
    bucket = np.array([0, 1, 0, 0, 1, 0])
    place = np.array([5, 0, -1, 2, 9, 3])
    assert ranks(bucket, place).tolist() == [2, 0, -1, 0, 1, 1]
    assert beyond_width(bucket, ranks(bucket, place), 1) == 1
    assert beyond_width(bucket, ranks(bucket, place), 3) == 0


def test_without_near_duplicates_copies_are_followed():
    corpus = Corpus(_options().model_copy(update={"near": None}))
    corpus.refresh(set(), [_row("b", "one two", 2010), _row("c", "one two three", 2011)])
    corpus.refresh(set(), [_row("a", "One two", 2000), _row("d", "one  two", 2020)])
    corpus.refresh({"a"}, [])
    full = deduplicate(*_tables(corpus.rows), corpus.options, RANKS, _INDEX)
    assert corpus.state.decisions.equals(full.decisions)
    assert corpus.state.edges["doc_id"].to_pylist() == full.edges["doc_id"].to_pylist() == ["d"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30))
def test_rows_are_alike_where_both_halves_of_their_keys_are(keys):
    given_keys = np.array(keys, dtype=np.uint64)
    distinct = sorted(set(keys))
    assert alike(given_keys).tolist() == [distinct.index(key) for key in keys]
    by_first_half = given_keys[np.unique(given_keys[:, 0], return_index=True)[1]]  # no two share a half
    assert alike(by_first_half[::-1]).tolist() == list(range(len(by_first_half)))[::-1]
