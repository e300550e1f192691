"""What deduplication itself thinks of its answer: precision and recall, estimated on a drawn sample, with intervals.

*Precision*: a sample of accepted near edges is measured again, slowly and in another way (`remeasure`); an edge is
right when its texts share enough. *Recall*: a sample of documents gets a copy each, edited in one of several ways
(`edits`), which is looked for in the index as an arriving document would be; it is found when it has an edge to any
document. *False matches*: the same with copies of which a third was replaced in one block: others' texts, not copies.

What is drawn depends on ids alone, edits on the id of their document. Recall holds for planted edits of documents that
resemble those of the corpus; which edits occur how often in it, nobody knows, so that they are told one by one too.
Intervals are those of Wilson (1927, Probable inference, the law of succession, and statistical inference), at 95 %.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.edits import HARD, WORD, Random, part_replaced, reordered, reworded
from headwater.assets.deduplication.estimate_options import EstimateOptions
from headwater.assets.deduplication.remeasure import common_lines, shared_share
from headwater.assets.schemas import EDGES

TextsOf = Callable[[list[str]], Mapping[str, str]]
FindEdges = Callable[[pa.Table], pa.Table]  # copies (doc_id, text) -> EDGES they would have with the documents there
Edit = Callable[[str, Sequence[str], str, Random], str]  # text, vocabulary, text of another document, generator

COPIES: dict[str, Edit] = {
    "1 % of words": lambda text, words, _, rng: reworded(text, 0.01, words, rng),
    "5 % of words": lambda text, words, _, rng: reworded(text, 0.05, words, rng),
    "10 % of words": lambda text, words, _, rng: reworded(text, 0.10, words, rng),
    "20 % of words": lambda text, words, _, rng: reworded(text, 0.20, words, rng),
    "other order": lambda text, _, __, rng: reordered(text, rng),
}
OTHERS: dict[str, Edit] = {
    f"{HARD:.0%} replaced in a block": lambda text, _, donor, rng: part_replaced(text, donor, rng)
}
FEWEST_WORDS, MOST_CHARACTERS = 80, 16_000  # of a document that is copied
_DONATED = 4_000  # leading characters of a document from which words for another are taken
_LAST = "f" * 8  # leading digits of the ids of copies, so that they come after the documents
_Z = 1.959964


class Share(NamedTuple):
    """So many of those tried, and between which shares the true one lies with 95 % confidence."""

    of: str
    tried: int
    found: int

    @property
    def share(self) -> float:
        """found / tried, 0 where nothing was tried."""
        return self.found / max(self.tried, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval; (0, 1) where nothing was tried."""
        if self.tried == 0:
            return 0.0, 1.0
        n, p = self.tried, self.share
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return (0.0 if self.found == 0 else middle - half), (1.0 if self.found == n else middle + half)


class Estimate(NamedTuple):
    """Precision of near edges, recall over all planted copies and by edit, and false matches of planted others."""

    precision: Share
    recall: Share
    by_edit: tuple[Share, ...]
    false_matches: Share

    def metrics(self) -> dict[str, Any]:
        """Shares and intervals under names of their own; what could not be tried is left out."""
        found: dict[str, Any] = {}
        for measure in (self.precision, self.recall, self.false_matches):
            if measure.tried:
                name = f"estimated_{measure.of.replace(' ', '_')}"
                low, high = (round(end, 4) for end in measure.interval)
                found |= {name: round(measure.share, 4), f"{name}_low": low, f"{name}_high": high}
        return found

    def rows(self) -> list[list[str]]:
        """Lines of a table: what, share, interval, found, tried."""
        measures = (self.precision, self.recall, *self.by_edit, self.false_matches)
        return [
            [m.of, f"{m.share:.3f}", "{:.3f} to {:.3f}".format(*m.interval), f"{m.found:,}", f"{m.tried:,}"]
            for m in measures
        ]

    def shortcomings(self, options: EstimateOptions) -> list[str]:
        """One sentence for each measure that is, with confidence, below what is declared."""
        wanted = [(self.precision, options.min_precision), (self.recall, options.min_recall)]
        return [
            f"{measure.of} is estimated at {measure.share:.3f} (at most {measure.interval[1]:.3f}), below {least}"
            for measure, least in wanted
            if measure.interval[1] < least
        ]


def estimate(
    ledger: pa.Table, edges: pa.Table, texts_of: TextsOf, find_edges: FindEdges, options: EstimateOptions
) -> Estimate:
    """Estimates from documents (ledger: doc_id) with their edges (EDGES).

    `texts_of` gives the texts of documents by id; `find_edges` the verified edges that copies would have with them.
    """
    originals = _originals(ledger, texts_of, options)
    copies, edit_of = planted(originals)
    found = set(_ends(find_edges(copies)) & set(edit_of)) if edit_of else set()
    shares = {
        edit: Share(edit, *_count([doc_id in found for doc_id, name in edit_of.items() if name == edit]))
        for edit in (*COPIES, *OTHERS)
    }
    by_edit = tuple(shares[edit] for edit in COPIES)
    recall = Share("recall", sum(share.tried for share in by_edit), sum(share.found for share in by_edit))
    others = [shares[edit] for edit in OTHERS]
    false_matches = Share("false matches", sum(s.tried for s in others), sum(s.found for s in others))
    precision = Share("precision", *_count(_remeasured(edges, texts_of, common_lines(originals.values()), options)))
    return Estimate(precision, recall, by_edit, false_matches)


def _count(hits: Sequence[bool]) -> tuple[int, int]:
    return len(hits), sum(hits)


def _ends(edges: pa.Table) -> set[str]:
    return {*edges["doc_id"].to_pylist(), *edges["other_id"].to_pylist()}


def _originals(ledger: pa.Table, texts_of: TextsOf, options: EstimateOptions) -> dict[str, str]:
    """Texts of drawn documents that can be copied, by id: never more than the declared share of all documents."""
    wanted = min(options.documents, math.ceil(options.max_share * len(ledger)))
    texts = texts_of(_drawn(ledger, ["doc_id"], 2 * wanted)["doc_id"].to_pylist())
    fit = {i: text for i, text in sorted(texts.items(), key=lambda item: _lot(item[0])) if _can_be_copied(text)}
    return dict(list(fit.items())[:wanted])


def _can_be_copied(text: str) -> bool:
    return len(text) <= MOST_CHARACTERS and next(islice(WORD.finditer(text), FEWEST_WORDS - 1, None), None) is not None


def _lot(doc_id: str) -> str:
    return doc_id[::-1]  # ids are hashes, and their first digits decide precedence


def _drawn(table: pa.Table, columns: list[str], count: int) -> pa.Table:
    """The rows with the least ids, read backwards."""
    lots = pa.table({name: pc.utf8_reverse(table[name]) for name in columns})
    return table.take(pc.select_k_unstable(lots, min(count, len(table)), [(name, "ascending") for name in columns]))


def planted(originals: Mapping[str, str]) -> tuple[pa.Table, dict[str, str]]:
    """(copies as documents (doc_id, text), the edit of each): documents get the edits in turns, one each.

    What is put in comes from the document before, so that one alone gets none.
    """
    ids, texts = (list(originals), list(originals.values())) if len(originals) > 1 else ([], [])
    edits = COPIES | OTHERS
    rows: list[tuple[str, str]] = []
    edit_of: dict[str, str] = {}
    for place, (doc_id, text) in enumerate(zip(ids, texts, strict=True)):
        name, donor = list(edits)[place % len(edits)], texts[place - 1]
        seed = blake2b(doc_id.encode(), digest_size=16).hexdigest()
        rng = np.random.default_rng(int(seed, 16))
        copy_id = _LAST + seed[len(_LAST) :]
        rows.append((copy_id, edits[name](text, WORD.findall(donor.lstrip()[:_DONATED]), donor, rng)))
        edit_of[copy_id] = name
    columns = [pa.array([row[0] for row in rows], pa.string()), pa.array([row[1] for row in rows], pa.large_string())]
    return pa.table(columns, names=["doc_id", "text"]), edit_of


def _remeasured(edges: pa.Table, texts_of: TextsOf, common: set[str], options: EstimateOptions) -> list[bool]:
    """Whether the texts of each drawn near edge share enough."""
    near = edges.filter(pc.equal(edges["kind"], "near"))
    drawn = _drawn(near, ["doc_id", "other_id"], options.edges) if len(near) else EDGES.empty_table()
    texts = texts_of(sorted(_ends(drawn)))
    pairs = zip(drawn["doc_id"].to_pylist(), drawn["other_id"].to_pylist(), strict=True)
    return [shared_share(texts[one], texts[two], common) >= options.least_shared for one, two in pairs]
