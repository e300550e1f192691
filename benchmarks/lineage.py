"""How long lineage takes over many documents: a document's steps, a step's documents, the whole story, a text.

Simulated are the records and ledgers of a run (`simulated_lineage.py`); there are no shards and no weights, as tracing
reads none. What is timed is the code that `headwater trace` runs, from opening the store on, each question about
another document or step; starting Python and loading the modules are told apart. Texts are those of installed packages.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import write_section
from simulated_lineage import BATCH, LENGTH, MEAN_TOKENS, Simulated, add_texts, simulate

from headwater.assets.lineage.history import select
from headwater.assets.lineage.steps import trace_step
from headwater.assets.lineage.story import tell
from headwater.assets.lineage.text import build_indexes, find_text
from headwater.assets.lineage.trace import trace_document
from headwater.assets.markdown import markdown_table
from headwater.assets.storage.places import Store

QUERIES = 40
HEADER = ["question", "first, ms", "median, ms", "95 %, ms", "processor, ms"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--documents", type=int, default=1_000_000, help="how many (default 1,000,000)")
    parser.add_argument("--spans-only", action="store_true", help="no ledgers: steps without addresses, no story")
    parser.add_argument("--text-megabytes", type=float, default=100, help="texts to search, in 10^6 bytes; 0: none")
    parser.add_argument(
        "--folder", type=Path, help="where to lay the store for the while (default: a temporary folder)"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this Markdown page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headwater-bench-", dir=given.folder) as folder:
        store = Store(f"{folder}/store")
        text = documents_section(store, given.documents, not given.spans_only)
        if given.text_megabytes:
            text += f"\n\n{texts_section(Store(f'{folder}/texts'), given.text_megabytes)}"
    print(f"\n{text}")
    if given.write:
        write_section(given.write, f"lineage-{given.documents}", text)


def documents_section(store: Store, documents: int, ledgers: bool) -> str:
    """Traces in both directions over simulated documents, as Markdown."""
    made, seconds = timed(lambda: simulate(store, documents, ledgers, QUERIES))
    peak = peak_megabytes()
    rows = [[what, *latencies(ask)] for what, ask in questions(made, ledgers)]
    table = markdown_table(HEADER, rows)
    return (
        f"## Lineage over {documents:,} documents\n\n"
        f"Simulated documents of {MEAN_TOKENS:,} tokens on average, {made.steps:,} steps of {BATCH} samples of "
        f"{LENGTH:,} tokens in three segments. {'All ledgers' if ledgers else 'The spans'} with their indexes take "
        f"{size_of(store) / 1e9:.2f} GB; writing took {seconds - made.indexing:.0f} s, indexing {made.indexing:.0f} s, "
        f"with {peak:,.0f} MB of memory.\n\n{table}\n\n"
        f"{QUERIES} questions each, files in memory; Python {platform.python_version()} on {platform.machine()}, "
        f"{os.cpu_count()} processors. Starting Python and loading the modules takes {loading_seconds():.1f} s more."
    )


def questions(made: Simulated, ledgers: bool) -> Iterator[tuple[str, Callable[[int], Any]]]:
    """What is asked, each time from a store that was just opened."""
    steps = np.random.default_rng(1).integers(0, made.steps, QUERIES).tolist()
    url, ids = made.store.url, made.ids

    def document(number: int) -> None:
        store = Store(url)
        if not trace_document(store, select(store, "model"), ids[number]).segments:
            raise AssertionError("a document without a span")

    def step(number: int, addresses: bool = False) -> None:
        store = Store(url)
        found = trace_step(store, select(store, "model"), steps[number], addresses)
        if not all(sample.parts for sample in found.samples):
            raise AssertionError("a sample without documents")

    yield "document → steps", document
    yield f"step → documents of its {BATCH} samples", step
    if ledgers:
        yield "the same, and their addresses", lambda number: step(number, addresses=True)
        yield "`trace document ID`: the whole story", lambda number: tell(Store(url), ids[number])
        yield "`trace document URI`: the same", lambda number: tell(Store(url), f"large/{ids[number]}.txt")


def texts_section(store: Store, megabytes: float) -> str:
    """Searches texts without an index and with one, as Markdown."""
    texts = installed_texts(megabytes * 1e6)
    add_texts(store, texts)
    longest = [text for text in texts if len(text) > 400]
    passages = [longest[n % len(longest)][200:260] for n in range(0, 7 * QUERIES, 7)]

    def search(number: int) -> None:
        if not find_text(Store(store.url), passages[number]).found:
            raise AssertionError("a passage was not found")

    rows = [["passage of 60 characters, every text read", *latencies(search)]]
    ((_, index),) = build_indexes(store)
    rows.append(["the same, with the index", *latencies(search)])
    size = sum(len(text.encode()) for text in texts)
    table = markdown_table(HEADER, rows)
    return (
        f"{len(texts):,} files of {size / 1e6:.0f} MB: the index takes {index.bytes / 1e6:.1f} MB "
        f"({index.bytes / size:.1%} of the texts) and {index.seconds:.1f} s ({index.seconds / size * 1e9:.0f} s per GB)"
        f".\n\n{table}"
    )


def installed_texts(size: float) -> list[str]:
    """Python files of the installed packages, up to some bytes."""
    found: list[str] = []
    for path in sorted(Path(np.__file__).parents[1].rglob("*.py")):
        if size <= 0:
            break
        text = path.read_bytes().decode(errors="ignore")
        if text.strip():
            found.append(text)
            size -= len(text.encode())
    return found


def latencies(ask: Callable[[int], Any]) -> list[str]:
    """Milliseconds of the first question, and of those after it the median, the 95th percentile, and CPU time."""
    started, times = 0.0, []
    for number in range(QUERIES):
        times.append(timed(lambda number=number: ask(number))[1] * 1e3)
        started = started or time.process_time()
    processor = (time.process_time() - started) / (QUERIES - 1) * 1e3
    figures = times[0], statistics.median(times[1:]), float(np.quantile(times[1:], 0.95)), processor
    return [f"{milliseconds:,.1f}" for milliseconds in figures]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returned, and the seconds it took."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def size_of(store: Store) -> int:
    """Bytes of all files of a store."""
    return sum(file.stat().st_size for file in Path(store.root).rglob("*") if file.is_file())


def peak_megabytes() -> float:
    """The most memory that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def loading_seconds() -> float:
    """Seconds that a new Python takes to load what tracing needs."""
    command = [sys.executable, "-c", "import headwater.assets.lineage.story"]
    return timed(lambda: subprocess.run(command, check=True))[1]


if __name__ == "__main__":
    main()
