"""Near-duplicate removal beside the other libraries: what it costs, and how often each is right.

Speed without the answer says little, and no two tools mean the same by "duplicate". So each takes part twice: on the
corpus, for CPU seconds and memory, and on labelled sets (`labelled_duplicates.py`) of several kinds of text and seeds,
where what is a copy is known. Every tool drops documents; a planted pair is *found* when one of its two is dropped, and
a drop is *right* when it is the first of a planted pair.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import duplicate_finders
import pyarrow as pa
from common import (
    Benchmark,
    Headline,
    Peer,
    Result,
    comparison,
    corpus,
    measured,
    median,
    peak_growth,
    prepare_peer_corpus,
    run,
    times,
    told,
)
from labelled_duplicates import DUPLICATES, NEGATIVES, labelled
from real_texts import KINDS

from headwater.assets.corpus.datasets.fetching import FetchError

SEEDS = (0, 1, 2)
PER_LEVEL = 300  # pairs of each edit, kind of text and seed, at most
PARTITIONS = (1, 2, 8)
EDITS = (*DUPLICATES, *NEGATIVES)
GOALS = {"1 %": 0.99, "5 %": 0.99, "10 %": 0.98, "20 %": 0.90, "reorder": 0.99, "header": 0.90}


def _texts(documents: pa.Table) -> list[str]:
    return documents["text"].to_pylist()


def _table(documents: pa.Table) -> pa.Table:
    return documents


class Tool(NamedTuple):
    """A way to remove duplicates: its name, the rows it drops of what `takes` makes of documents, what it needs.

    `share` of the corpus is what it is timed on; its seconds are then extrapolated.
    """

    label: str
    dropped: Callable[[Any], list[int]]
    module: str | None = None
    share: float = 1.0
    takes: Callable[[pa.Table], Any] = _texts


def _headwater(documents: pa.Table) -> list[int]:
    from headwater.assets.deduplication.driver import deduplicate
    from headwater.assets.deduplication.options import DeduplicationOptions

    count = len(documents)
    ledger = pa.table(
        {
            "doc_id": documents["doc_id"],
            "split": ["train"] * count,
            "source": ["texts"] * count,
            "date": pa.nulls(count, pa.date32()),
        }
    )
    done = deduplicate(documents, ledger, DeduplicationOptions(), {"texts": 0})
    return [row for row, stays in enumerate(done.decisions["kept"].to_pylist()) if not stays]


TOOLS = {
    "headwater": Tool("headwater", _headwater, takes=_table),
    "rensa_words": Tool("rensa, words, 0.8", duplicate_finders.rensa_words, "rensa"),
    "rensa": Tool("rensa, 5-grams, 0.8", duplicate_finders.rensa_shingles, "rensa"),
    "semhash": Tool("semhash, cheap encoder, 0.9", duplicate_finders.semhash, "semhash"),
    "datasketch": Tool("datasketch, 0.7", duplicate_finders.datasketch, "datasketch"),
    "datatrove": Tool("datatrove, 14 × 8", duplicate_finders.datatrove, "datatrove", 1 / 3),
}


def _speed(tool: Tool, folder: Path) -> Result:
    documents = corpus(folder)[0].select(["doc_id", "text"])
    documents = documents.slice(0, round(tool.share * len(documents)))
    few, given = tool.takes(_few()), tool.takes(documents)
    with measured() as kernels:
        tool.dropped(few)
    with peak_growth() as memory, measured() as cost:
        dropped = tool.dropped(given)
    cost["cpu"] /= tool.share
    return cost | memory | {"dropped": len(dropped), "kernels": kernels["cpu"]}


def _few() -> pa.Table:
    """A text, a copy and a near-duplicate: enough to take every kernel into use and every library's parts."""
    text = " ".join(map(str, range(60)))
    return pa.table({"doc_id": ["0", "1", "2"], "text": pa.array([text, text, f"{text} more"], pa.large_string())})


def _labels(tool: Tool, folder: Path) -> Result:
    sets = {}
    for path in sorted((folder / "labelled").glob("*.documents.arrow")):
        documents, pairs = _read(path), _read(path.with_name(path.name.replace("documents", "pairs")))
        gone = {documents["doc_id"][row].as_py() for row in tool.dropped(tool.takes(documents))}
        sets[path.name.split(".")[0]] = _judged(gone, pairs.to_pylist())
    return {"sets": sets, "cpu": 0.0}


def _judged(gone: set[str], pairs: Sequence[Mapping]) -> Result:
    """Of each edit (pairs with a member dropped, pairs), and of the drops (right ones, all)."""
    edits = {edit: [0, 0] for edit in EDITS}
    right = 0
    for pair in pairs:
        found = pair["doc_id"] in gone or pair["other_id"] in gone
        edits[pair["edit"]][0] += found
        edits[pair["edit"]][1] += 1
        right += found and pair["duplicate"]
    return {"edits": edits, "drops": [right, len(gone)]}


def _partitioned(folder: Path) -> Result:
    """The stages of a small corpus, cut into 1, 2 and 8 partitions: content of the decisions and of the edges."""
    from headwater.assets.corpus.component import Corpus
    from headwater.assets.running import run_stage
    from headwater.assets.stages import in_order
    from headwater.assets.storage.content import content_of
    from headwater.assets.storage.places import Store
    from headwater.assets.storage.tables import read_table
    from headwater.assets.workspace import Workspace

    size = _json_lines(folder)
    answers = set()
    for partitions in PARTITIONS:
        compute = {"engine": "local", "partition_megabytes": size / partitions + 1e-3}
        source = {"kind": "jsonl", "path": "labelled.*.jsonl"}
        component = Corpus(
            name="copies",
            sources=[source],
            held_out={"share": 0.0},
            curation={"rules": [{"kind": "length", "min_words": 3, "min_bytes": None}]},
            deduplication={"max_lost_share": 1.0},
            compute=compute,
        )
        store = Store(str(folder / f"store-{partitions}"))
        for stage in in_order(component.stages("benchmark")):
            run_stage(stage, store, Workspace(folder), log=lambda _: None)
        place = store.place("copies/deduplicated")
        tables = place.record().tables
        contents = [content_of(read_table(place.table(name), tables[name].version)) for name in ("decisions", "edges")]
        answers.add((tables["edges"].rows, *map(str, contents)))
    return {"answers": len(answers), "edges": max(rows for rows, *_ in answers)}


def _json_lines(folder: Path) -> float:
    """Writes the documents of the largest labelled set as eight files of JSON lines; gives their size in 10^6 bytes."""
    sets = (folder / "labelled").glob("*.documents.arrow")
    rows = _read(max(sets, key=lambda path: (path.stat().st_size, path.name))).to_pylist()
    for part in range(max(PARTITIONS)):
        lines = [json.dumps({"id": row["doc_id"], "text": row["text"]}) for row in rows[part :: max(PARTITIONS)]]
        (folder / f"labelled.{part}.jsonl").write_text("\n".join(lines))
    return sum(path.stat().st_size for path in folder.glob("labelled.*.jsonl")) / 1e6


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()


def _prepare(folder: Path, megabytes: float) -> Result:
    facts = prepare_peer_corpus(folder, megabytes)
    (folder / "labelled").mkdir()
    per_level = PER_LEVEL if megabytes >= 100 else PER_LEVEL // 10
    missing: list[str] = []
    for kind in KINDS:
        for seed in SEEDS:
            try:
                found = labelled(seed, kind, per_level)
            except FetchError as error:
                missing.append(f"{kind} ({error})")
                break
            for name, table in found._asdict().items():
                _write(folder / "labelled" / f"{kind} {seed}.{name}.arrow", table)
    for line in missing:
        print(f"   left out: {line}", file=sys.stderr)
    return facts | {"left_out": [line.split(" ")[0] for line in missing]}


PEERS = {
    # The first process of a run finds an empty folder of kernels, the later ones what it left there.
    "compiling": Peer("headwater, kernels not compiled yet", partial(_speed, TOOLS["headwater"]), repetitions=1),
    **{key: Peer(tool.label, partial(_speed, tool), tool.module) for key, tool in TOOLS.items()},
    **{
        f"labels {key}": Peer(f"{tool.label}, labelled", partial(_labels, tool), tool.module, repetitions=1)
        for key, tool in TOOLS.items()
    },
    "partitions": Peer("headwater, 1, 2 and 8 partitions", _partitioned, repetitions=1),
}


def _report(facts: Result, results: Mapping[str, list[Result]]) -> str:
    shown = {key: peer for key, peer in PEERS.items() if key in TOOLS}
    cold, warm = median(results["compiling"], "kernels"), median(results["headwater"], "kernels")
    same = results["partitions"][0]
    agreed = "the same decisions and edges" if same["answers"] == 1 else f"{same['answers']} DIFFERENT answers"
    left_out = (
        f" Left out, because their packages cannot be had: {', '.join(facts['left_out'])}." if facts["left_out"] else ""
    )
    return "\n\n".join(
        [
            f"{told(facts)} Memory is what each took beyond the texts it was given. datatrove ran on a third of the "
            "documents, its seconds are extrapolated.",
            _speed_table(facts, results, shown),
            f"Apart from that, headwater's kernels: {cold:.1f} CPU s to compile once on a machine, {warm:.2f} to load "
            f"from the cache in each later process. Cut into 1, 2 and 8 partitions, its stages gave {agreed} "
            f"({same['edges']:,} edges).",
            f"### Planted copies found\n\nMeans over {len(KINDS) - len(facts['left_out'])} kinds of text and "
            f"{len(SEEDS)} seeds, {_pairs(results)} pairs of an edit in all; of the last three columns none is a "
            f"duplicate: less is better. Each kind of text by itself follows, with the lowest and highest of the "
            f"seeds. rensa, semhash and datasketch get what white space or punctuation parts, as in their examples, "
            f"so that Chinese and Japanese are few and long words to them.{left_out}",
            _recall_table(results, shown, None),
            *(f"#### {kind}\n\n{_recall_table(results, shown, kind)}" for kind in _kinds(results)),
        ]
    )


def _speed_table(facts: Result, results: Mapping[str, list[Result]], shown: Mapping[str, Peer]) -> str:
    own = median(results["headwater"], "cpu")

    def cells(key: str, runs: list[Result]) -> list[str]:
        cpu = median(runs, "cpu")
        speed = [f"{cpu:.1f}", times(cpu, own), f"{facts['megabytes'] / cpu:.1f}"]
        return [*speed, f"{median(runs, 'growth_mb'):,.0f}", f"{runs[0]['dropped']:,}" if TOOLS[key].share == 1 else ""]

    return comparison(shown, results, ["CPU s", "headwater = 1", "MB per CPU s", "peak MB", "dropped"], cells)


def _sets(results: Mapping[str, list[Result]], key: str, kind: str | None) -> list[Result]:
    """What a tool did on the labelled sets of a kind of text, or of all kinds."""
    runs = results[f"labels {key}"]
    found = runs[0]["sets"].items() if runs else ()
    return [judged for name, judged in found if kind in (None, name.split(" ")[0])]


def _kinds(results: Mapping[str, list[Result]]) -> list[str]:
    return list(dict.fromkeys(name.split(" ")[0] for name in results["labels headwater"][0]["sets"]))


def _pairs(results: Mapping[str, list[Result]]) -> str:
    return f"{sum(found['edits']['reorder'][1] for found in _sets(results, 'headwater', None)):,}"


def _shares(found: Result) -> dict[str, float]:
    """Share of the pairs found, by edit, and the share of right drops as `precision`."""
    shares = {edit: flagged / max(pairs, 1) for edit, (flagged, pairs) in found["edits"].items()}
    right, dropped = found["drops"]
    return shares | {"precision": right / max(dropped, 1)}


def _recall_table(results: Mapping[str, list[Result]], shown: Mapping[str, Peer], kind: str | None) -> str:
    def cells(key: str, _: list[Result]) -> list[str]:
        sets = [_shares(found) for found in _sets(results, key, kind)]
        return [_spread([shares[column] for shares in sets], kind is not None) for column in (*EDITS, "precision")]

    return comparison(shown, results, [*EDITS, "precision"], cells)


def _spread(values: Sequence[float], with_range: bool) -> str:
    mean, low, high = (f"{figure:.3f}" for figure in (statistics.mean(values), min(values), max(values)))
    return f"{mean} ({low} to {high})" if with_range and low != high else mean


def _headlines(facts: Result, results: Mapping[str, list[Result]]) -> list[Headline]:
    peers = [key for key in TOOLS if key != "headwater" and results[key]]
    own, best = median(results["headwater"], "cpu"), min((median(results[key], "cpu") for key in peers), default=None)
    rows = [Headline("near-duplicate removal", "CPU s", 6.0, own, True, "fastest peer" if peers else None, best)]
    for edit, goal in GOALS.items():
        shares = {
            key: statistics.mean(_shares(found)[edit] for found in _sets(results, key, None))
            for key in ("headwater", *peers)
        }
        leader = max(peers, key=shares.__getitem__, default=None)
        of_peer = shares[leader] if leader else None
        rows.append(Headline(f"copies found, {edit}", "share", goal, shares["headwater"], False, leader, of_peer))
    return rows


if __name__ == "__main__":
    run(
        Benchmark(
            "bench_deduplication", "Near-duplicate removal", _prepare, PEERS, _report, _headlines, megabytes=267.5
        )
    )
