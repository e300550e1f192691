"""Near-duplicate removal beside rensa and datasketch, with the answer that comparing all pairs gives.

All work on sets of word 5-grams at a threshold of 0.7 with 128 permutations and go through the documents in one order,
dropping what resembles an earlier kept document. Headwater compares the texts of every candidate pair; rensa compares
signatures; datasketch takes the candidates of its index as they are. Speed without the answer says little, so each is
also held against all pairs: what it missed, and what it dropped that resembles nothing kept.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from common import Benchmark, Peer, Result, comparison, corpus, measured, median, prepare_corpus, run, times, told

THRESHOLD, WORDS, PERMUTATIONS = 0.7, 5, 128
_WORD = re.compile(r"\w+")


def _headwater(folder: Path) -> Result:
    from headwater.assets.deduplication.driver import deduplicate
    from headwater.assets.deduplication.options import DeduplicationOptions

    documents, ledger = corpus(folder)
    options, rank = DeduplicationOptions(), {"installed_packages": 0}
    few = ledger.slice(0, 3)
    with measured() as kernels:
        deduplicate(_alike(few["doc_id"]), few, options, rank)
    with measured() as cost:
        done = deduplicate(documents, ledger, options, rank)
    kept = done.decisions["kept"].to_pylist()
    return cost | {"dropped": [row for row, stays in enumerate(kept) if not stays], "kernels": kernels["cpu"]}


def _alike(doc_ids: pa.ChunkedArray) -> pa.Table:
    """A text, a copy and a near-duplicate: enough to take every kernel into use."""
    text = " ".join(map(str, range(60)))
    return pa.table({"doc_id": doc_ids, "text": pa.array([text, text, f"{text} more"], pa.large_string())})


def _shingles(text: str) -> list[str]:
    """Word 5-grams as the peers are given them; a shorter text is one shingle, so that it is compared whole."""
    words = _WORD.findall(text.lower())
    if len(words) < WORDS:
        return [text]
    return list({" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)})


def _rensa(folder: Path) -> Result:
    from rensa import RMinHashDeduplicator

    texts = _texts(folder)
    with measured() as cost:
        index = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=PERMUTATIONS, use_lsh=True)
        kept = index.add_pairs((str(row), _shingles(text)) for row, text in enumerate(texts))
    return cost | {"dropped": [row for row, stays in enumerate(kept) if not stays]}


def _datasketch(folder: Path) -> Result:
    from datasketch import MinHash, MinHashLSH

    texts, dropped = _texts(folder), []
    with measured() as cost:
        index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
        for row, text in enumerate(texts):
            signature = MinHash(num_perm=PERMUTATIONS)
            signature.update_batch([shingle.encode() for shingle in _shingles(text)])
            if index.query(signature):
                dropped.append(row)
            else:
                index.insert(row, signature)
    return cost | {"dropped": dropped}


def _all_pairs(folder: Path) -> Result:
    """The rule itself: shared shingles counted against every kept document, through an inverted index."""
    texts, dropped = _texts(folder), []
    postings: dict[str, list[int]] = {}
    sizes: dict[int, int] = {}
    with measured() as cost:
        for row, text in enumerate(texts):
            shingles = _shingles(text)
            shared = Counter(other for shingle in shingles for other in postings.get(shingle, ()))
            if _resembles(len(shingles), shared.items(), sizes):
                dropped.append(row)
                continue
            sizes[row] = len(shingles)
            for shingle in shingles:
                postings.setdefault(shingle, []).append(row)
    return cost | {"dropped": dropped}


def _resembles(size: int, shared: Iterable[tuple[int, int]], sizes: dict[int, int]) -> bool:
    return any(both / (size + sizes[other] - both) >= THRESHOLD for other, both in shared)


def _shingling(folder: Path) -> Result:
    """What of the peers' time is the making of their input in Python: neither library takes a text as it is."""
    texts = _texts(folder)
    with measured() as cost:
        for text in texts:
            _shingles(text)
    return cost | {"dropped": None}


def _texts(folder: Path) -> list[str]:
    return corpus(folder)[0]["text"].to_pylist()


PEERS = {
    # The first process of a run finds an empty folder of kernels, the later ones what it left there.
    "compiling": Peer("headwater, kernels not compiled yet", _headwater, repetitions=1),
    "headwater": Peer("headwater (texts compared)", _headwater),
    "rensa": Peer("rensa (signatures compared)", _rensa, "rensa"),
    "datasketch": Peer("datasketch (candidates taken)", _datasketch, "datasketch"),
    "shingles": Peer("of the peers' time: shingles, in Python", _shingling),
    "all_pairs": Peer("all pairs, plain Python", _all_pairs, repetitions=1),
}


def _report(facts: Result, results: dict[str, list[Result]]) -> str:
    truth = set(results["all_pairs"][0]["dropped"])
    own = median(results["headwater"], "cpu")

    def cells(key: str, runs: list[Result]) -> list[str]:
        cpu = median(runs, "cpu")
        cost = [f"{cpu:.2f}", times(cpu, own), f"{facts['megabytes'] / cpu:.1f}", f"{median(runs, 'peak_mb'):,.0f}"]
        if runs[0]["dropped"] is None:
            return [*cost, "", "", ""]
        dropped = set(runs[0]["dropped"])
        return [*cost, *(f"{len(rows):,}" for rows in (dropped, truth - dropped, dropped - truth))]

    header = ["CPU s", "headwater = 1", "MB per CPU s", "peak MB", "dropped", "missed", "in excess"]
    shown = {key: peer for key, peer in PEERS.items() if key != "compiling"}
    cold, warm = median(results["compiling"], "kernels"), median(results["headwater"], "kernels")
    return (
        f"{told(facts)} Word 5-grams, threshold {THRESHOLD}, {PERMUTATIONS} permutations. `missed` and `in excess` are "
        f"against all pairs.\n\n{comparison(shown, results, header, cells)}\n\nApart from that, headwater's kernels: "
        f"{cold:.1f} CPU s to compile once on a machine, {warm:.2f} to load from the cache in each later process."
    )


if __name__ == "__main__":
    run(Benchmark("bench_deduplication", "Near-duplicate removal", prepare_corpus, PEERS, _report))
