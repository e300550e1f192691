"""What deduplication did, for people: shares lost by source, and one telling pair side by side."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation.counting import Loss
from headwater.assets.deduplication.options import DeduplicationOptions

_DIFF_LINES = 2000  # of each text that are compared; matching lines grows with the product
_WIDTH = 160  # characters of a line that are shown


class Example(NamedTuple):
    """A near-duplicate pair: where both come from, what was measured, and how they differ."""

    uri: str
    other_uri: str
    similarity: float
    containment: float
    diff: str


def sources_over_limit(lost: Iterable[Loss], options: DeduplicationOptions) -> list[str]:
    """One sentence for every source that lost more than it may."""
    sentences = []
    for loss in lost:
        limit = options.max_lost_share_of.get(loss.source, options.max_lost_share)
        if loss.share > limit:
            sentences.append(
                f"{loss.source} lost {loss.dropped} of {loss.documents} documents "
                f"({loss.share:.0%}), more than max_lost_share allows ({limit:.0%})"
            )
    return sentences


def telling_edge(edges: pa.Table) -> pa.Table:
    """The near-duplicates most alike without being the same (similarity below 1, then most shared), as one edge."""
    near = edges.filter(pc.and_(pc.equal(edges["kind"], "near"), pc.less(edges["similarity"], 1.0)))
    order = [(name, "descending") for name in ("similarity", "shared")]
    order += [(name, "ascending") for name in ("doc_id", "other_id")]
    return near.take(pc.select_k_unstable(near, 1, order))


def example_pair(
    edges: pa.Table,
    texts_of: Callable[[list[str]], Mapping[str, str]],
    uris: Mapping[str, str] | None = None,
    lines: int = 30,
) -> Example | None:
    """The `telling_edge` with what its texts differ in, or None.

    `uris` names documents for people (default: their ids); at most `lines` lines of the unified diff are given.
    """
    telling = telling_edge(edges)
    if len(telling) == 0:
        return None
    edge = telling.to_pylist()[0]
    ids = [edge["other_id"], edge["doc_id"]]
    texts = texts_of(ids)
    earlier, later = ((uris or {}).get(doc_id, doc_id) for doc_id in ids)
    excerpt = _diff(texts[ids[0]], texts[ids[1]], earlier, later, lines)
    return Example(later, earlier, edge["similarity"], edge["containment"], excerpt)


def _diff(one: str, two: str, one_name: str, two_name: str, lines: int) -> str:
    """Unified diff from where the texts first differ, cut in length and width."""
    left, right = one.splitlines(), two.splitlines()
    same = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(same - 3, 0)
    window = slice(start, start + _DIFF_LINES)
    found = list(difflib.unified_diff(left[window], right[window], one_name, two_name, n=2, lineterm=""))
    shown = [line[:_WIDTH] for line in found[:lines]]
    if len(found) > lines:
        shown.append(f"… {len(found) - lines} more lines")
    return "\n".join(shown)
