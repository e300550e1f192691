"""What a refresh of deduplication costs beside a full search, as the number of documents grows.

The index is synthetic, in the store's own tables: of ten documents in a row, one copies another, three resemble each
other (any two share a band with chance 0.23), and in each band two of a thousand fall into one of twenty crowded
buckets. One document in a hundred arrives with the refresh and one in a thousand leaves. Texts are not made up:
signing and verifying are left out, and a pair is taken for verified where its documents were made to resemble each
other. Everything else is the code that runs in the stage.
"""

import argparse
import shutil
import tempfile
from binascii import hexlify
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from common import Peer, Result, measured, run_apart, work, write_section

from headwater.assets.arrow_rows import without
from headwater.assets.deduplication.bands import bands_and_rows
from headwater.assets.deduplication.candidates import arrange, candidate_pairs, exact_groups
from headwater.assets.deduplication.incremental import plan_refresh
from headwater.assets.deduplication.index import signature_schema
from headwater.assets.deduplication.neighbourhood import decide_again, touched_documents
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.order import document_order
from headwater.assets.deduplication.population import Documents
from headwater.assets.deduplication.stored import StoredIndex
from headwater.assets.markdown import markdown_table
from headwater.assets.schemas import EDGES
from headwater.assets.storage.content import ContentSum
from headwater.assets.storage.tables import commit_parts, read_table, write_part

OPTIONS = DeduplicationOptions()
RANK = {"web": 0, "books": 1, "code": 2}
LEDGER = pa.schema([(name, pa.string()) for name in ("doc_id", "split", "source", "date")])
_STEP = 1_000_000  # documents made at a time
_VERSION = 1


def _mixed(numbers: np.ndarray, salt: int) -> np.ndarray:
    """A bijection of 64-bit integers (splitmix64), another one for each salt."""
    with np.errstate(over="ignore"):
        x = numbers.astype(np.uint64) + np.uint64(salt + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def _cluster(texts: np.ndarray) -> np.ndarray:
    """A number shared by texts that resemble each other."""
    return np.where((texts % 10 >= 1) & (texts % 10 <= 3), texts - texts % 10 + 1, texts)


def _doc_ids(documents: np.ndarray) -> pa.Array:
    words = np.stack([_mixed(documents, 100), _mixed(documents, 101)], axis=1)
    offsets = np.arange(len(documents) + 1, dtype=np.int32) * 32
    digits = hexlify(words.tobytes())
    return pa.StringArray.from_buffers(len(documents), pa.py_buffer(offsets), pa.py_buffer(digits))


def _signatures(documents: np.ndarray) -> pa.Table:
    texts = np.where(documents % 10 == 9, documents - 9, documents)
    clusters = _cluster(texts)
    exact = np.stack([_mixed(texts, 200), _mixed(texts, 201)], axis=1)
    keys = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(exact.tobytes())])
    columns: list[Any] = [_doc_ids(documents), keys, pa.array(300 + texts % 500)]
    for band in range(bands_and_rows(OPTIONS.near)[0]):  # type: ignore[arg-type]
        crowded = _mixed(texts, 300 + band) % np.uint64(1000) >= 998
        columns.append(pa.array(np.where(crowded, _mixed(texts % 20, 400 + band), _key(texts, clusters, band))))
    return pa.Table.from_arrays(columns, schema=signature_schema(OPTIONS))


def _key(texts: np.ndarray, clusters: np.ndarray, band: int) -> np.ndarray:
    """A band's key: minima side by side, of which five in six are those of the cluster."""
    rows = bands_and_rows(OPTIONS.near)[1]  # type: ignore[arg-type]
    key = np.zeros(len(texts), dtype=np.uint64)
    for row in range(rows):
        salt = 1000 + 2 * (band * rows + row)
        own = np.where(_mixed(texts, salt) % np.uint64(6) > 0, clusters, -texts - 1)
        key = (key << np.uint64(64 // rows)) | (_mixed(own, salt + 1) >> np.uint64(64 - 64 // rows))
    return key


def _ledger(documents: np.ndarray) -> pa.Table:
    days = (_mixed(documents, 500) % np.uint64(3000)).astype(np.int64)
    dates = pc.strftime(pa.array(np.arange(3000).astype("datetime64[D]") + 14_000, pa.date32()), "%Y-%m-%d")
    sources, splits = pa.array(list(RANK)), pa.array(["train", "held_out"])
    held_out = (_mixed(documents, 501) % np.uint64(100) == 0).astype(np.int64)
    columns = [_doc_ids(documents), splits.take(held_out), sources.take(days % 3), dates.take(days)]
    return pa.Table.from_arrays(columns, schema=LEDGER)


def _edges(documents: np.ndarray, ledger: pa.Table) -> pa.Table:
    """Edges of these documents: every pair of a cluster, and copies; evidence is made up."""
    place = np.empty(len(documents), dtype=np.int64)
    place[document_order(ledger, RANK)] = np.arange(len(documents))
    at = np.full(int(documents.max()) + 11, -1)
    at[documents] = np.arange(len(documents))
    tens = np.arange(0, int(documents.max()) + 1, 10)
    pairs = [(1, 2, "near"), (1, 3, "near"), (2, 3, "near"), (0, 9, "exact")]
    parts = []
    for one, two, kind in pairs:
        ends = np.stack([at[tens + one], at[tens + two]])
        ends = ends[:, (ends >= 0).all(axis=0)]
        later = np.where(place[ends[0]] > place[ends[1]], ends[0], ends[1])
        earlier = ends.sum(axis=0) - later
        ids = [ledger["doc_id"].combine_chunks().take(pa.array(rows)) for rows in (later, earlier)]
        nothing = pa.nulls(len(later), pa.float64())
        value = pa.array(np.full(len(later), 1.0 if kind == "exact" else 0.8))
        kinds = pa.array([kind]).take(pa.array(np.zeros(len(later), dtype=np.int64)))
        parts.append(
            pa.Table.from_arrays(
                [*ids, kinds, value, value, pa.array(np.full(len(later), 240)), *[nothing] * 3], EDGES.names
            )
        )
    return pa.concat_tables(parts).cast(EDGES).combine_chunks()


def _store(folder: Path, name: str, tables: list[pa.Table]) -> None:
    fragments = []
    for table in tables:
        written, _ = write_part(str(folder / name), table.schema, table.to_batches(), ContentSum())
        fragments.extend(written)
    commit_parts(str(folder / name), tables[0].schema, fragments)


def prepare(folder: Path, documents: int) -> None:
    """Writes index, ledger and edges of that many documents, and the documents that arrive."""
    numbers = np.arange(documents + documents // 100)
    arrives = _mixed(numbers, 600) % np.uint64(101) == 0
    base, arriving = numbers[~arrives], numbers[arrives]
    steps = [base[at : at + _STEP] for at in range(0, len(base), _STEP)]
    ledger = pa.concat_tables(_ledger(step) for step in steps)
    _store_streamed(folder, steps)
    _store(folder, "ledger", [ledger])
    _store(folder, "edges", [_edges(base, ledger)])
    _store(folder, "arriving_index", [_signatures(arriving)])
    _store(folder, "arriving_ledger", [_ledger(arriving)])


def _store_streamed(folder: Path, steps: list[np.ndarray]) -> None:
    fragments, schema = [], signature_schema(OPTIONS)
    for step in steps:
        written, _ = write_part(str(folder / "index"), schema, _signatures(step).to_batches(), ContentSum())
        fragments.extend(written)
    commit_parts(str(folder / "index"), schema, fragments)


def _read(folder: Path, name: str) -> pa.Table:
    return read_table(str(folder / name), _VERSION)


def _full(folder: Path) -> Result:
    """Candidates among all documents that were there before the refresh."""
    ledger = _read(folder, "ledger")
    with measured() as cost:
        arranged = arrange(StoredIndex(str(folder / "index"), _VERSION), ledger, RANK)
        pairs, _ = candidate_pairs(arranged, exact_groups(arranged, OPTIONS), OPTIONS)
    return cost | {"pairs": len(pairs)}


def _refresh(folder: Path) -> Result:
    """The new edges and decisions, without signing and verifying."""
    ledger, edges = _read(folder, "ledger"), _read(folder, "edges")
    arrived = Documents(_read(folder, "arriving_index"), _read(folder, "arriving_ledger"))
    gone = np.arange(500, len(ledger), 1000)
    with measured() as cost:
        earlier = Documents(StoredIndex(str(folder / "index"), _VERSION), ledger)
        plan = plan_refresh(earlier, edges, gone, arrived, OPTIONS, RANK)
    added = pa.concat_tables([plan.added, _verified(plan.pairs, len(ledger) + len(arrived.ledger))])
    with measured() as decisions:
        final = pa.concat_tables([without(edges, plan.removed), added])
        present = pa.concat_tables([without(ledger, gone), arrived.ledger])
        seeds = touched_documents(edges, plan.removed, added, arrived.ledger)
        rows, _ = decide_again(present, final, seeds, OPTIONS, RANK)
    return {
        "cpu": cost["cpu"] + decisions["cpu"],
        "decided_cpu": decisions["cpu"],
        "pairs": len(plan.pairs),
        "decided": len(rows),
    }


def _verified(pairs: pa.Table, documents: int) -> pa.Table:
    """The pairs that were made to resemble each other, as edges."""
    ids = pc.unique(pa.chunked_array([*pairs["doc_id"].chunks, *pairs["other_id"].chunks]))
    numbers = np.empty(len(ids), dtype=np.int64)
    for start in range(0, documents, _STEP):
        some = np.arange(start, min(start + _STEP, documents))
        places = pc.index_in(_doc_ids(some), value_set=ids)
        found = pc.is_valid(places).to_numpy(zero_copy_only=False)
        numbers[places.drop_null().to_numpy()] = some[found]
    ends = [_cluster(numbers[pc.index_in(pairs[name], value_set=ids).to_numpy()]) for name in ("doc_id", "other_id")]
    alike = pairs.filter(pa.array(ends[0] == ends[1]))
    value = pa.array(np.full(len(alike), 0.8))
    kinds = pa.array(["near"]).take(pa.array(np.zeros(len(alike), dtype=np.int64)))
    columns = [alike["doc_id"], alike["other_id"], kinds, value, value, pa.array(np.full(len(alike), 240))]
    columns += [pa.nulls(len(alike), pa.float64())] * 3
    return pa.Table.from_arrays(columns, EDGES.names).cast(EDGES)


PEERS = {"full": Peer("full search", _full), "refresh": Peer("refresh of 1 %", _refresh)}


def _sizes(sizes: list[int]) -> list[list[str]]:
    """A row of figures for each size."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        for size in [1000, *sizes]:  # the first compiles the kernels and is not shown
            folder = Path(name) / str(size)
            folder.mkdir()
            prepare(folder, size)
            stored = sum(file.stat().st_size for file in (folder / "index").rglob("*") if file.is_file())
            full, refresh = (run_apart(peer, folder, Path(name) / "kernels") for peer in PEERS)
            rows.append(_row(size, stored, full, refresh))
            shutil.rmtree(folder)
    return rows[1:]


def _row(size: int, stored: int, full: Result, refresh: Result) -> list[str]:
    seconds = [f"{value:.2f}" for value in (full["cpu"], refresh["cpu"], refresh["decided_cpu"])]
    memory = [f"{run['peak_mb']:,.0f}" for run in (full, refresh)]
    pairs = [f"{run['pairs']:,}" for run in (full, refresh)]
    return [f"{size:,}", f"{stored / 1e6:,.0f}", seconds[0], memory[0], pairs[0], *seconds[1:], memory[1], pairs[1]]


def _table(sizes: list[int]) -> str:
    full, refresh = ["full search, CPU s", "peak MB", "pairs"], ["refresh, CPU s", "decisions", "peak MB", "pairs"]
    return markdown_table(["documents", "index MB", *full, *refresh], _sizes(sizes))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--documents", type=int, nargs="+", default=[100_000, 1_000_000], help="sizes of the index")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this Markdown page")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        work(PEERS[given.peer], given.folder)
        return
    text = f"## The cost of a refresh\n\n{_table(given.documents)}"
    print(f"\n{text}")
    if given.write:
        write_section(given.write, "bench_incremental_deduplication", text)


if __name__ == "__main__":
    main()
