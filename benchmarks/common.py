"""How a comparison is run: peers in processes of their own, taking turns, told in ratios of the same run.

A machine's speed changes from day to day and from minute to minute; a ratio between two programs that took turns on it
changes much less. So every benchmark prepares its data once, runs each peer in a fresh process on them, all peers
before any peer again, and tells medians in CPU seconds (user and system, of the process and its children), which
neighbours on the machine disturb least. What is timed stands inside `measured()`: the work, neither imports nor the
reading of prepared data.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from corpora import PEER_MEGABYTES, Result, corpus, prepare_corpus, prepare_peer_corpus, told

from headwater.assets.markdown import markdown_table

__all__ = ["PEER_MEGABYTES", "Result", "corpus", "prepare_corpus", "prepare_peer_corpus", "told"]
NOT_INSTALLED = "not installed: pip install 'headwater[bench]'"

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
class Headline:
    """One row of the table that `make bench` ends with: what was reached, beside a target and the best of the peers."""

    step: str
    unit: str  # of all three figures
    goal: float
    reached: float
    less_is_better: bool = False
    peer: str | None = None  # the best of those measured in the same run; None: none was, or none does this
    of_peer: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target was reached."""
        return self.reached <= self.goal if self.less_is_better else self.reached >= self.goal

    @property
    def ratio(self) -> float | None:
        """How many times better than the best peer; None without one."""
        if self.of_peer is None:
            return None
        better, worse = (self.of_peer, self.reached) if self.less_is_better else (self.reached, self.of_peer)
        return better / max(worse, 1e-9)


def _no_headlines(facts: Result, results: Mapping[str, list[Result]]) -> list[Headline]:
    return []


@dataclass(frozen=True)
class Benchmark:
    """A comparison: what is prepared, who takes part, and how the figures are told.

    `report` gives Markdown, `headlines` the rows for the table of all benchmarks; `megabytes` and `repetitions` are
    what a run takes unless it is told otherwise.
    """

    name: str
    title: str
    prepare: Callable[[Path, float], Result]
    peers: Mapping[str, Peer]
    report: Callable[[Result, Mapping[str, list[Result]]], str]
    headlines: Callable[[Result, Mapping[str, list[Result]]], list[Headline]] = _no_headlines
    megabytes: float = 20
    repetitions: int = 3


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


@contextmanager
def peak_growth() -> Iterator[Result]:
    """Fills in `growth_mb`: how far memory rose in the block above what was held before (as at its end, off Linux)."""
    found: Result = {}
    held, reset = psutil.Process().memory_info().rss, Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")  # the high-water mark starts anew
    yield found
    status = Path("/proc/self/status").read_text() if reset.exists() else ""
    marks = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")]
    found["growth_mb"] = ((marks or [psutil.Process().memory_info().rss])[0] - held) / 1e6


def run(benchmark: Benchmark) -> None:
    """The command line of a benchmark: prints its table, and writes it where that is asked for."""
    parser = argparse.ArgumentParser(description=benchmark.title, allow_abbrev=False)
    size, turns = benchmark.megabytes, benchmark.repetitions
    parser.add_argument("--megabytes", type=float, help=f"cap of the corpus in 10^6 bytes (default {size:g})")
    parser.add_argument("--repetitions", type=int, help=f"runs of each peer (default {turns})")
    parser.add_argument("--quick", action="store_true", help="a tenth of the corpus, one run of each peer")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this Markdown page")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="put the figures there, for summary.py")
    parser.add_argument("--peer", choices=benchmark.peers, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        work(benchmark.peers[given.peer], given.folder)
        return
    megabytes = given.megabytes or (max(size / 10, 2) if given.quick else size)
    repetitions = given.repetitions or (1 if given.quick else turns)
    if megabytes <= 0 or repetitions < 1:
        parser.error("--megabytes must be above 0 and --repetitions at least 1")
    facts, results = _compare(benchmark, megabytes, repetitions, given.quick)
    text = f"## {benchmark.title}\n\n{benchmark.report(facts, results)}\n\n{_where(repetitions, benchmark)}"
    print(f"\n{text}")
    if given.write:
        write_section(given.write, benchmark.name, text)
    if given.results:
        write_results(
            given.results, benchmark.name, benchmark.headlines(facts, results), megabytes, _versions(benchmark)
        )


def write_results(
    folder: Path, name: str, headlines: Sequence[Headline], megabytes: float, versions: Mapping[str, str]
) -> None:
    """Leaves a benchmark's rows of the table of all benchmarks, for summary.py."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [asdict(headline) for headline in headlines]
    found = {"headlines": rows, "megabytes": megabytes, "versions": dict(versions)}
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1))


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


def _compare(
    benchmark: Benchmark, megabytes: float, repetitions: int, once: bool
) -> tuple[Result, dict[str, list[Result]]]:
    results: dict[str, list[Result]] = {name: [] for name in benchmark.peers}
    wanted = {key: repetitions if once else peer.repetitions or repetitions for key, peer in benchmark.peers.items()}
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        folder = Path(name)
        _say("preparing")
        facts = benchmark.prepare(folder, megabytes)
        for turn in range(max(wanted.values())):
            for key, peer in benchmark.peers.items():
                if turn < wanted[key] and is_installed(peer):
                    _say(f"turn {turn + 1}: {peer.label}")
                    results[key].append(run_apart(key, folder))
    return facts, results


def _say(what: str) -> None:
    print(f"   {what} ...", file=sys.stderr, flush=True)


def is_installed(peer: Peer) -> bool:
    """Whether the library that a peer needs can be imported."""
    return peer.module is None or find_spec(peer.module) is not None


def run_apart(peer: str, folder: Path, kernels: Path | None = None) -> Result:
    """One run in a fresh process. Kernels compiled by one run are found by the next, in a folder of this benchmark."""
    command = [sys.executable, sys.argv[0], "--peer", peer, "--folder", str(folder)]
    environment = {**os.environ, **_ONE_THREAD, "NUMBA_CACHE_DIR": str(kernels or folder / "kernels")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody compiles a program's modules at each start
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _where(repetitions: int, benchmark: Benchmark) -> str:
    libraries = ", ".join(f"{name} {number}" for name, number in sorted(_versions(benchmark).items()))
    return (
        f"{_runs(repetitions)}, each in a process of its own with one thread; Python "
        f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} processors"
        f"{', ' + libraries if libraries else ''}."
    )


def _versions(benchmark: Benchmark) -> dict[str, str]:
    modules = [peer.module for peer in benchmark.peers.values() if peer.module and is_installed(peer)]
    distributions = packages_distributions()
    return {name: version(name) for module in modules for name in distributions.get(module.partition(".")[0], [])}


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
