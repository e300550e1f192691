"""How a comparison is run: peers in processes of their own, taking turns, told in ratios of the same run.

A machine's speed changes from day to day and from minute to minute; a ratio between two programs that took turns on it
changes much less. So every benchmark prepares its data once, runs each peer in a fresh process on them, all peers
before any peer again, and tells medians in CPU seconds (user and system, of the process and its children), which
neighbours on the machine disturb least. What is timed stands inside `measured()`: the work, neither imports nor the
reading of prepared data.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.markdown import markdown_table

if TYPE_CHECKING:
    from headwater.assets.corpus.reading import SourceFile

Result = dict[str, Any]
NOT_INSTALLED = "not installed: pip install 'headwater[bench]'"

PEER_MEGABYTES = 267.5
PEER_PACKAGES = (
    "stdlib",
    "torch",
    "transformers",
    "ray",
    "dagster",
    "scipy",
    "pandas",
    "sympy",
    "sklearn",
    "matplotlib",
)
_PEER_SUFFIXES = (".py", ".md", ".rst", ".txt")

# One thread each: ratios should compare work, not how many cores each library finds.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Peer:
    """One of the compared programs. `work(folder)` reads what was prepared and returns its figures.

    `module` is what must be importable, None for what Headwater needs anyway; `repetitions` overrides the run's own.
    """

    label: str
    work: Callable[[Path], Result]
    module: str | None = None
    repetitions: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """A comparison: what is prepared, who takes part, and how the figures are told (`report` gives Markdown)."""

    name: str
    title: str
    prepare: Callable[[Path, float], Result]
    peers: Mapping[str, Peer]
    report: Callable[[Result, Mapping[str, list[Result]]], str]


@contextmanager
def measured() -> Iterator[Result]:
    """Fills in `cpu` and `wall`, in seconds, when the block ends; children count once they have ended."""
    cost: Result = {}
    wall, cpu = time.perf_counter(), cpu_seconds()
    yield cost
    cost["cpu"], cost["wall"] = cpu_seconds() - cpu, time.perf_counter() - wall


def cpu_seconds() -> float:
    """User and system seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(benchmark: Benchmark) -> None:
    """The command line of a benchmark: prints its table, and writes it into a page where one is asked for."""
    parser = argparse.ArgumentParser(description=benchmark.title, allow_abbrev=False)
    parser.add_argument("--megabytes", type=float, default=20, help="cap of the corpus in 10^6 bytes (default 20)")
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each peer (default 3)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this Markdown page")
    parser.add_argument("--peer", choices=benchmark.peers, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        work(benchmark.peers[given.peer], given.folder)
        return
    if given.megabytes <= 0 or given.repetitions < 1:
        parser.error("--megabytes must be above 0 and --repetitions at least 1")
    text = _compare(benchmark, given.megabytes, given.repetitions)
    print(f"\n{text}")
    if given.write:
        write_section(given.write, benchmark.name, text)


def work(peer: Peer, folder: Path) -> None:
    """What a process of its own does: runs the peer and prints its figures for `run_apart`."""
    result = peer.work(folder)
    print(json.dumps(result | {"process_cpu": cpu_seconds(), "peak_mb": _peak_megabytes()}))


def _peak_megabytes() -> float:
    """The most memory this process has held. Linux hands a new process its parent's ru_maxrss, so that its own is read
    from /proc where there is one."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = (line.split() for line in status.read_text().splitlines())
        return next(int(words[1]) for words in lines if words and words[0] == "VmHWM:") * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _compare(benchmark: Benchmark, megabytes: float, repetitions: int) -> str:
    results: dict[str, list[Result]] = {name: [] for name in benchmark.peers}
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        folder = Path(name)
        _say("preparing")
        facts = benchmark.prepare(folder, megabytes)
        for turn in range(max(repetitions, *(peer.repetitions or 1 for peer in benchmark.peers.values()))):
            for key, peer in benchmark.peers.items():
                if turn < (peer.repetitions or repetitions) and is_installed(peer):
                    _say(f"turn {turn + 1}: {peer.label}")
                    results[key].append(run_apart(key, folder))
    return f"## {benchmark.title}\n\n{benchmark.report(facts, results)}\n\n{_where(repetitions, benchmark)}"


def _say(what: str) -> None:
    print(f"   {what} ...", file=sys.stderr, flush=True)


def is_installed(peer: Peer) -> bool:
    """Whether the library that a peer needs can be imported."""
    return peer.module is None or find_spec(peer.module) is not None


def run_apart(peer: str, folder: Path, kernels: Path | None = None) -> Result:
    """One run in a fresh process. Kernels compiled by one run are found by the next, in a folder of this benchmark."""
    command = [sys.executable, sys.argv[0], "--peer", peer, "--folder", str(folder)]
    environment = {**os.environ, **_ONE_THREAD, "NUMBA_CACHE_DIR": str(kernels or folder / "kernels")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _where(repetitions: int, benchmark: Benchmark) -> str:
    modules = [peer.module for peer in benchmark.peers.values() if peer.module and is_installed(peer)]
    libraries = ", ".join(f"{name} {version(name)}" for name in sorted(set(modules)))
    return (
        f"{_runs(repetitions)}, each in a process of its own with one thread; Python "
        f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} processors"
        f"{', ' + libraries if libraries else ''}."
    )


def _runs(repetitions: int) -> str:
    return "A single run of each" if repetitions == 1 else f"Medians of {repetitions} runs in turns"


def median(runs: Sequence[Result], figure: str) -> float:
    """The median of a figure over a peer's runs."""
    return statistics.median(run[figure] for run in runs)


def comparison(
    benchmark_peers: Mapping[str, Peer],
    results: Mapping[str, list[Result]],
    header: Sequence[str],
    cells: Callable[[str, list[Result]], Sequence[Any]],
) -> str:
    """A table with a row for each peer: its label, then `cells(key, runs)`; a peer that is not installed says so."""
    rows: list[list[Any]] = []
    for key, peer in benchmark_peers.items():
        runs = results[key]
        rest = list(cells(key, runs)) if runs else [NOT_INSTALLED, *[""] * (len(header) - 1)]
        rows.append([peer.label, *rest])
    return markdown_table(["", *header], rows)


def times(value: float, of: float) -> str:
    """How many times `of` goes into `value`, to three digits: a ratio as it is told."""
    ratio = value / max(of, 1e-9)
    return f"{ratio:,.0f} ×" if ratio >= 100 else f"{ratio:.3g} ×"


def prepare_corpus(folder: Path, megabytes: float) -> Result:
    """Headwater's own source `installed_packages`, whole packages up to the cap, as two Arrow files sorted by doc_id.

    Without dates and with a single source, doc_id is the order of precedence among duplicates: a peer that goes
    through the rows one by one goes through them in Headwater's order. Nothing is held out.
    """
    from headwater.assets.corpus.options import HeldOut, InstalledPackages, ReadLimits
    from headwater.assets.corpus.reading import list_files, read_partition

    source = InstalledPackages(max_megabytes=megabytes)
    files = list_files(source, folder)
    batches = list(read_partition({source.name: source}, files, HeldOut(share=0), ReadLimits()))
    documents, ledger = (pa.Table.from_batches(part) for part in zip(*batches, strict=True))
    ledger = ledger.filter(ledger["kept"])
    _write_corpus(folder, documents, ledger)
    return _facts(ledger)


def _write_corpus(folder: Path, documents: pa.Table, ledger: pa.Table) -> None:
    for name, table in (("documents", documents), ("ledger", ledger)):
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.sort_by("doc_id").combine_chunks())


def _facts(ledger: pa.Table) -> Result:
    size = pc.sum(ledger["bytes"]).as_py() / 1e6
    return {"documents": len(ledger), "megabytes": size, "packages": len(pc.unique(ledger["group"]))}


def prepare_peer_corpus(folder: Path, megabytes: float = PEER_MEGABYTES) -> Result:
    """The corpus on which the peers were measured: files of 200 B to 1 MB of the standard library and site-packages.

    The standard library and the packages named above come first, then all others, up to 267.5 MB; of these a draw by
    the hash of their names up to `megabytes`. Written as the Arrow files of `prepare_corpus`, with Headwater's own
    ids, and as JSON lines (id, uri, text) in files of about 25 MB in `jsonl/code` and `jsonl/prose`.
    """
    from headwater.assets.corpus.options import HeldOut, ReadLimits, TextFiles
    from headwater.assets.corpus.reading import read_partition

    source = TextFiles(name="peer_corpus", path="*")
    files = _drawn(_peer_files(), megabytes)
    batches = list(read_partition({source.name: source}, files, HeldOut(share=0), ReadLimits()))
    documents, ledger = (pa.Table.from_batches(part) for part in zip(*batches, strict=True))
    _write_corpus(folder, documents, ledger.filter(ledger["kept"]))
    documents, ledger = corpus(folder)
    for form in ("code", "prose"):
        of_form = pc.equal(ledger["format"], form)
        _write_json_lines(folder / "jsonl" / form, documents.filter(of_form), ledger.filter(of_form)["uri"])
    return _facts(ledger)


def _peer_files() -> list["SourceFile"]:
    from headwater.assets.corpus.reading import SourceFile

    paths = sysconfig.get_paths()
    rank = {name: place for place, name in enumerate(PEER_PACKAGES)}
    ranked = []
    for origin, root in (("stdlib", Path(paths["stdlib"])), ("", Path(paths["purelib"]))):
        for path in root.rglob("*"):
            uri = path.relative_to(root).as_posix()
            if path.suffix not in _PEER_SUFFIXES or path.is_symlink() or not path.is_file():
                continue
            if origin and "site-packages" in path.parts:
                continue
            size, group = path.stat().st_size, origin or uri.partition("/")[0]
            if 200 <= size <= 1_000_000:
                uri = f"{origin}/{uri}" if origin else uri
                file = SourceFile("peer_corpus", uri, path.as_uri(), size, "", group=group)
                ranked.append((rank.get(group, len(rank)), uri, file))
    return _fitting([file for *_, file in sorted(ranked, key=lambda entry: entry[:2])], PEER_MEGABYTES)


def _fitting(files: Sequence["SourceFile"], megabytes: float) -> list["SourceFile"]:
    """The files in their order that fit into the budget; one that does not is passed over."""
    left, chosen = megabytes * 1e6, []
    for file in files:
        if file.size <= left:
            left -= file.size
            chosen.append(file)
    return chosen


def _drawn(files: Sequence["SourceFile"], megabytes: float) -> list["SourceFile"]:
    by_hash = sorted(files, key=lambda file: hashlib.blake2b(file.uri.encode(), digest_size=8).digest())
    return sorted(_fitting(by_hash, megabytes), key=lambda file: file.uri)


def _write_json_lines(folder: Path, documents: pa.Table, uris: pa.ChunkedArray, part_bytes: int = 25_000_000) -> None:
    folder.mkdir(parents=True)
    number, size, lines = 0, 0, []
    rows = zip(documents["doc_id"].to_pylist(), uris.to_pylist(), documents["text"].to_pylist(), strict=True)
    for doc_id, uri, text in rows:
        lines.append(json.dumps({"id": doc_id, "uri": uri, "text": text}, ensure_ascii=False) + "\n")
        size += len(text)
        if size >= part_bytes:
            (folder / f"{number:03d}.jsonl").write_text("".join(lines))
            number, size, lines = number + 1, 0, []
    if lines:
        (folder / f"{number:03d}.jsonl").write_text("".join(lines))


def corpus(folder: Path) -> tuple[pa.Table, pa.Table]:
    """(documents, ledger) as `prepare_corpus` left them."""
    tables = []
    for name in ("documents", "ledger"):
        with pa.OSFile(str(folder / f"{name}.arrow"), "rb") as file:
            tables.append(pa.ipc.open_file(file).read_all())
    return tables[0], tables[1]


def told(facts: Result) -> str:
    """The corpus in a sentence."""
    return (
        f"Corpus: {facts['documents']:,} documents, {facts['megabytes']:.1f} MB of text, from {facts['packages']} "
        "packages of this Python."
    )


def write_section(page: Path, name: str, text: str) -> None:
    """Replaces a benchmark's section of a page, between its markers, or appends it; other text stays as it is."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = page.read_text() if page.exists() else "# Performance\n"
    section = f"{begin}\n{text}\n{end}"
    before, found, rest = old.partition(begin)
    if found and end in rest:
        new = before + section + rest.partition(end)[2]
    else:
        new = f"{old.rstrip()}\n\n{section}\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(new)
