"""Shares lost by source and the example pair shown to people; options that load fast."""

import subprocess
import sys

import pyarrow as pa
import pytest

from headwater.assets.curation.counting import Loss, lost_by_source
from headwater.assets.deduplication.options import DeduplicationOptions, MinHashOptions
from headwater.assets.deduplication.summary import example_pair, sources_over_limit
from headwater.assets.schemas import EDGES


def test_a_source_that_loses_too_much_is_reported():
    lost = lost_by_source({"web": {"exact": 1, "near": 1, "": 1}, "code": {"near": 1, "": 2}})
    assert lost == [Loss("code", 3, 1), Loss("web", 3, 2)]
    assert [loss.share for loss in lost] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert sources_over_limit(lost, DeduplicationOptions()) == [
        "web lost 2 of 3 documents (67%), more than max_lost_share allows (50%)"
    ]
    lenient = DeduplicationOptions(max_lost_share_of={"web": 0.7, "code": 0.3})
    assert [sentence.split()[0] for sentence in sources_over_limit(lost, lenient)] == ["code"]


def _edges(*rows):
    names = ("doc_id", "other_id", "kind", "similarity", "containment", "shared")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=EDGES)


def test_the_example_is_the_most_alike_that_is_not_the_same():
    edges = _edges(
        ("b", "a", "exact", 1.0, 1.0, 9),
        ("c", "a", "near", 1.0, 1.0, 9),
        ("d", "a", "near", 0.8, 0.9, 9),
        ("e", "a", "near", 0.9, 0.95, 9),
    )
    texts = {"a": "same\n" * 50 + "old line", "e": "same\n" * 50 + "new line\n" + "more\n" * 60}
    example = example_pair(edges, lambda ids: {doc_id: texts[doc_id] for doc_id in ids}, {"e": "e.py", "a": "a.py"})
    assert (example.uri, example.other_uri, example.similarity, example.containment) == ("e.py", "a.py", 0.9, 0.95)
    assert "-old line" in example.diff
    assert "+new line" in example.diff
    assert example.diff.splitlines()[-1].startswith("… ")
    assert example_pair(edges.slice(0, 2), lambda ids: {}) is None


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"words": 0}, {"miss_weight": -1}, {"shingle": 5}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MinHashOptions(**wrong)


def test_options_need_nothing_heavy():
    code = (
        "import sys, headwater.assets; before = set(sys.modules); import headwater.assets.deduplication.options;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new & {'numba', 'torch', 'ray', 'lance', 'pandas', 'transformers'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
