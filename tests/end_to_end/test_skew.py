"""However uneven a corpus is, the work of a part stays bounded and the whole path gives what it should."""

import numpy as np
import pyarrow as pa
from small_pipelines import Lab, bytes_tokenizer, notes, packed, prose

from headwater.assets.corpus.options import HeldOut, ReadLimits
from headwater.assets.corpus.reading import list_files, read_partition
from headwater.assets.curation.stage import LEDGER
from headwater.assets.sharding.reader import ShardReader

MEGABYTE = 1_000_000


def through(lab: Lab, documents: list[dict[str, str]], **options) -> None:
    """Runs raw text to shards over these documents."""
    lab.write_jsonl("notes.jsonl", documents)
    lab.run(notes(deduplication={"max_lost_share": 1.0}, **options), bytes_tokenizer(), packed(shard_megabytes=1))


def rules(lab: Lab) -> dict[str | None, int]:
    """How often each rule decided, None for kept."""
    table = lab.table("notes/deduplicated", "decisions")
    assert table.schema.names == LEDGER.names
    counted = table["rule"].value_counts().to_pylist()
    return {item["values"]: item["counts"] for item in counted}


def long_text(size: int) -> str:
    return "\n".join(prose(seed, 400) for seed in range(size // 2_800))


def test_one_giant_document_goes_through_whole(lab):
    giant = long_text(3 * MEGABYTE)
    through(lab, [{"text": prose(n)} for n in range(-30, 0)] + [{"text": giant}], held_out={"share": 0.0})
    assert rules(lab) == {None: 31}
    spans = lab.table("packed/tokens", "spans")
    (place,) = np.flatnonzero(spans["bytes"].to_numpy() == len(giant))
    reader = ShardReader(lab.store.place("packed/shards").folder(lab.record("packed/shards").digest))
    stream = next(stream for stream in reader.streams if stream.endswith("-train"))
    start, length = spans["start"][place].as_py(), spans["length"][place].as_py()
    samples = reader.samples(stream, np.arange(start // 32, (start + length) // 32))
    stored = lab.table("packed/tokens", stream, ["tokens"])["tokens"][place].values.to_numpy()
    first = start % 32
    np.testing.assert_array_equal(samples.ravel()[first : first + len(stored)][: length - 32], stored[: length - 32])
    assert len(lab.record("packed/shards").files) > 1


def test_a_document_over_the_limit_is_dropped_unread_with_its_size(lab):
    giant = long_text(2 * MEGABYTE)
    documents = [{"text": prose(n)} for n in range(30)] + [{"text": giant}]
    through(lab, documents, limits={"max_document_megabytes": 1})
    assert rules(lab) == {None: 30, "too_large": 1}


def test_a_giant_is_a_batch_of_its_own_and_batches_are_bounded_by_bytes_and_rows(lab):
    texts = [prose(n) for n in range(20)]
    texts[7] = long_text(MEGABYTE)
    lab.write_jsonl("notes.jsonl", [{"text": text} for text in texts] + [{"text": ""}] * 20_000)
    source = notes().stages("small")[0].options.sources[0]
    files = list_files(source, lab.root)
    batches = list(read_partition({source.name: source}, files, HeldOut(), ReadLimits(), batch_bytes=100_000))
    rows = [ledger.num_rows for _, ledger in batches]
    assert rows[:2] == [7, 1]
    assert max(rows) <= 16_384
    assert sum(rows) == 20_020
    sizes = [pa.compute.sum(ledger["bytes"]).as_py() for _, ledger in batches]
    assert sum(size >= 200_000 for size in sizes) == 1


def test_thousands_of_empty_documents_are_told_and_cost_nothing_further_on(lab):
    through(lab, [{"text": ""}] * 20_000 + [{"text": prose(n)} for n in range(30)])
    assert rules(lab) == {None: 30, "empty": 20_000}
    assert lab.record("notes/raw").metrics["left_out"] == 20_000
    assert lab.record("notes/signals").metrics["documents"] == 30
    assert lab.table("packed/tokens", "spans").num_rows == 30


def test_thousands_of_identical_documents_keep_one_and_have_an_edge_each(lab):
    through(lab, [{"text": prose(0)}] * 3_000 + [{"text": prose(n)} for n in range(1, 30)], held_out={"share": 0.0})
    assert rules(lab) == {None: 30, "exact_duplicate": 2_999}
    edges = lab.table("notes/deduplicated", "edges")
    assert edges.num_rows == 2_999
    assert lab.record("notes/deduplicated").metrics["pairs_verified"] == 0
