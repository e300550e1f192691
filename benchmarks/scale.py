"""How memory and time grow with the corpus: the whole path, raw text to shards, under a limit of memory.

Each size is a fresh corpus of generated text, and each run a process of its own on one core and without Ray, inside a
control group of the kernel that may hold no more than `--limit-mb` (page cache included, which is given back under
pressure); where no group can be made, the limit is only watched. The peak of each stage is the kernel's own mark
(VmHWM), set back before the stage. `--skew` runs corpora that are all of one kind instead: one giant document,
(below the limit of a corpus, 64 MB, and far above it), nothing but empty ones, copies of one document.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import cpu_seconds, write_section

from headwater.assets.markdown import markdown_table

FILE_BYTES = 16_000_000
BLOCK_WORDS = 2_000_000
FUNCTION_WORDS = ["the", "of", "and", "to", "in", "that", "is", "was", "for", "with", "be", "have", "this", "from"]
Write = Callable[[Path, float], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--sizes", type=float, nargs="*", default=[125, 250, 500, 1000], help="corpora, in MB")
    parser.add_argument("--document-kilobytes", type=float, default=4, help="mean size of a document (default 4)")
    parser.add_argument("--limit-mb", type=float, default=2000, help="memory that a run may hold (default 2000)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--until", default="shards", help="the last stage that is run (default: all)")
    parser.add_argument("--results", type=Path, help="a JSON file that keeps every run: measure now, tell all together")
    parser.add_argument("--skew", action="store_true", help="corpora all of one kind instead of growing ones")
    parser.add_argument("--share", type=float, default=1.0, help="of the sizes of the skewed corpora (default 1)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables and the plot into this page")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run_path(given.run, given.until)))
        return
    with tempfile.TemporaryDirectory(prefix="headwater-scale-", dir=given.folder) as temporary:
        folder = Path(temporary)
        if given.sizes or given.skew:
            measure("kernels are compiled", folder, lambda at: write_corpus(at, 2), given.limit_mb)
        (measure_skew if given.skew else measure_growth)(given, folder)


def measure_growth(given: argparse.Namespace, folder: Path) -> None:
    """Runs every size and tells the table and the curve, with earlier results where they were kept."""
    kept = given.results is not None and given.results.exists()
    runs = {float(size): run for size, run in (json.loads(given.results.read_text()) if kept else {}).items()}
    for size in given.sizes:
        title = f"{size:,.0f} MB"
        runs[size] = measure(
            title,
            folder,
            lambda at, size=size: write_corpus(at, size, given.document_kilobytes),
            given.limit_mb,
            given.until,
        )
        if given.results:
            given.results.write_text(json.dumps(runs, indent=1))
    runs = dict(sorted(runs.items()))
    text = told_growth(runs, given.limit_mb)
    print(f"\n{text}")
    if given.write:
        write_section(given.write, "scale", f"{text}\n\n![Peak memory of each stage over the corpus](scale.svg)")
        (given.write.parent / "scale.svg").write_text(growth_plot(runs))


def measure_skew(given: argparse.Namespace, folder: Path) -> None:
    """Runs every skewed corpus and tells the table."""
    share = given.share
    kinds: dict[str, Callable[[Path], None]] = {
        f"one document of {60 * share:,.0f} MB": lambda at: write_giant(at, 60e6 * share),
        f"one of {300 * share:,.0f} MB, over the limit": lambda at: write_giant(at, 300e6 * share),
        f"{2_000_000 * share:,.0f} empty documents": lambda at: write_empty(at, int(2_000_000 * share)),
        f"{200_000 * share:,.0f} identical documents": lambda at: write_identical(at, int(200_000 * share)),
    }
    runs = {title: measure(title, folder, write, given.limit_mb) for title, write in kinds.items()}
    text = told_skew(runs)
    print(f"\n{text}")
    if given.write:
        write_section(given.write, "skew", text)


# The corpora.


def words() -> pa.Array:
    """A hundred thousand made-up words, each with the blank, comma or full stop behind it; frequent ones first."""
    rng = np.random.default_rng(0)
    syllables = np.array([c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"])
    made = {"".join(rng.choice(syllables, rng.integers(1, 5))) for _ in range(140_000)}
    ordered = [*FUNCTION_WORDS, *sorted(made)[:: max(len(made) // 100_000, 1)]]
    rng.shuffle(ordered[len(FUNCTION_WORDS) :])
    ends = rng.choice([" ", " ", " ", " ", " ", ", ", ". ", ".\\n"], len(ordered))
    ends[: len(FUNCTION_WORDS)] = " "
    return pa.array([word + end for word, end in zip(ordered, ends, strict=True)], pa.large_string())


def blocks(seed: int = 0) -> Iterator[tuple[memoryview, np.ndarray]]:
    """Endless blocks of running text: (bytes of a JSON string's inside, where each of its words begins)."""
    known, rng = words(), np.random.default_rng(seed)
    weights = 1 / np.arange(10, 10 + len(known))
    bounds = np.cumsum(weights / weights.sum())
    while True:
        drawn = np.minimum(np.searchsorted(bounds, rng.random(BLOCK_WORDS)), len(known) - 1)
        text = known.take(pa.array(drawn))
        yield memoryview(text.buffers()[2]), np.frombuffer(text.buffers()[1], np.int64)


def documents(seed: int = 0, kilobytes: float = 4) -> Iterator[bytes]:
    """Endless texts of so many kB on average, of which some 4 % resemble an earlier one and 2 % repeat one."""
    rng = np.random.default_rng(seed)
    earlier: list[bytes] = []
    for data, places in blocks(seed):
        lengths = np.clip(kilobytes / 4 * rng.lognormal(6.1, 0.8, 4 * BLOCK_WORDS // 700), 60, 20_000).astype(np.int64)
        ends = np.cumsum(lengths)
        ends = ends[ends < BLOCK_WORDS]
        for first, last, fate in zip(np.r_[0, ends[:-1]], ends, rng.random(len(ends)), strict=True):
            text = bytes(data[places[first] : places[last]]).rstrip(b" ,n\\")
            if fate < 0.06 and earlier:
                copy = earlier[int(fate * 1e6) % len(earlier)]
                text = copy if fate < 0.02 else text[:40] + copy[40:]
            elif fate > 0.9 and len(earlier) < 5_000:
                earlier.append(text)
            yield text


def write_corpus(folder: Path, megabytes: float, kilobytes: float = 4) -> None:
    """Varied documents of so many kB on average as JSON lines in files of 16 MB."""
    left, texts, number = megabytes * 1e6, documents(kilobytes=kilobytes), 0
    while left > 0:
        size, target = 0, min(FILE_BYTES, left)
        with (folder / f"part-{number:05d}.jsonl").open("wb") as file:
            while size < target:
                size += file.write(b'{"text": "%s"}\n' % next(texts))
        left, number = left - size, number + 1


def write_giant(folder: Path, size: float) -> None:
    """One document of `size` bytes in the midst of ordinary ones."""
    write_corpus(folder, 4)
    with (folder / "giant.jsonl").open("wb") as file:
        file.write(b'{"text": "')
        for data, _ in blocks(7):
            size -= file.write(bytes(data[: int(size)]).rstrip(b"\\"))
            if size < 1000:
                break
        file.write(b'"}\n')


def write_empty(folder: Path, count: int) -> None:
    """Documents without text, and some ordinary ones, without which nothing could be packed."""
    write_corpus(folder, 4)
    for part in range(-(-count // 500_000)):
        lines = min(500_000, count - part * 500_000)
        (folder / f"empty-{part:03d}.jsonl").write_bytes(b'{"text": ""}\n' * lines)


def write_identical(folder: Path, count: int) -> None:
    """One text many times, and some ordinary ones."""
    write_corpus(folder, 4)
    line = b'{"text": "%s"}\n' % next(documents(9))[:1000]
    (folder / "identical.jsonl").write_bytes(line * count)


# A run.


def measure(
    title: str, folder: Path, write: Callable[[Path], None], limit: float, until: str = "shards"
) -> dict[str, Any]:
    """Writes a corpus, runs the path on it in a process of its own, and tells what it cost."""
    print(f"{title} …", file=sys.stderr, flush=True)
    at = folder / "corpus"
    shutil.rmtree(at, ignore_errors=True)
    (at / "documents").mkdir(parents=True)
    write(at / "documents")
    environment = os.environ | {"HEADWATER_ENGINE": "local", "OPENLINEAGE_DISABLED": "true", "LANCE_IO_THREADS": "2"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--run", str(at), "--until", until]
    with confined(limit) as join:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=join)
    if done.returncode:
        raise SystemExit(f"{title}: the run ended with {done.returncode} (-9: it was killed at the limit)")
    return json.loads(done.stdout.splitlines()[-1])


class confined:
    """A control group (memory) for the time of the block; gives the function by which a process joins it."""

    def __init__(self, megabytes: float) -> None:
        one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        name = f"headwater-scale-{os.getpid()}"
        self._group = (one if one.is_dir() else two) / name
        self._limit = ("memory.limit_in_bytes" if one.is_dir() else "memory.max", str(int(megabytes * 1e6)))

    def __enter__(self) -> Callable[[], None]:
        try:
            self._group.mkdir()
            (self._group / self._limit[0]).write_text(self._limit[1])
        except OSError as error:
            print(f"  no control group ({error}): the peak is watched and not enforced", file=sys.stderr)
            return lambda: None
        return lambda: (self._group / "cgroup.procs").write_text(str(os.getpid())) and None

    def __exit__(self, *_: object) -> None:
        if self._group.is_dir():
            self._group.rmdir()


def run_path(folder: Path, until: str) -> dict[str, Any]:
    """Materializes the data stages over `folder/documents` and tells CPU seconds, the peak of memory and documents."""
    from headwater.assets.corpus.component import Corpus
    from headwater.assets.fitting.component import Fit
    from headwater.assets.running import run_stage
    from headwater.assets.sharding.component import Shards
    from headwater.assets.stages import in_order
    from headwater.assets.storage.places import Store
    from headwater.assets.workspace import Workspace

    source = {"kind": "jsonl", "path": "documents/*.jsonl"}
    components = [
        Corpus(
            name="corpus",
            sources=[source],
            held_out={"share": 0.02, "group": "document"},
            deduplication={"max_lost_share": 1.0},
            max_unreadable_share=1.0,
        ),
        Fit(name="pairs", corpus="corpus", fit={"kind": "byte_level_bpe", "vocabulary_size": 16_384}),
        Shards(name="packed", corpora=["corpus"], tokenizer="pairs", sequence_length=1024),
    ]
    store, workspace, stages = Store(str(folder / "store")), Workspace(folder), {}
    metrics: dict[str, Any] = {}
    for stage in in_order([stage for component in components for stage in component.stages("scale")]):
        cpu, wall = cpu_seconds(), time.perf_counter()
        forget_peak()
        metrics[stage.asset] = run_stage(stage, store, workspace, log=lambda _: None).record.metrics
        cost = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall, "peak": peak_megabytes()}
        stages[stage.asset] = cost
        print(f"  {stage.asset}: {cost['cpu']:.1f} CPU s, {cost['peak']:,.0f} MB", file=sys.stderr, flush=True)
        if stage.stage == until:
            break
    raw = metrics["corpus/raw"]
    kept = metrics.get("corpus/deduplicated", {}).get("kept", 0)
    return {"stages": stages, "records": raw["records"], "megabytes": raw["megabytes"], "kept": kept}


def forget_peak() -> None:
    """Sets the kernel's mark of the most memory held back to what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_megabytes() -> float:
    """The most memory this process has held since, mapped files included, in MB."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return next(int(parts[1]) for parts in lines if parts and parts[0] == "VmHWM:") * 1024 / 1e6


# What is told.


def _assets(runs: dict[Any, dict[str, Any]]) -> list[str]:
    return max((list(run["stages"]) for run in runs.values()), key=len)


def told_growth(runs: dict[float, dict[str, Any]], limit: float) -> str:
    """Peak and cost of each stage at each size, as Markdown."""
    header = ["stage", *(f"{run['megabytes']:,.0f} MB" for run in runs.values())]
    documents = ["documents", *(f"{run['records']:,}" for run in runs.values())]
    rows = [[asset, *(_cell(run, asset) for run in runs.values())] for asset in _assets(runs)]
    peaks = ["**highest peak, MB**", *(f"{_peak(run):,.0f}" for run in runs.values())]
    cost = [
        "**CPU s for each MB, up to deduplicated**",
        *(f"{_cpu(run) / run['megabytes']:.3f}" for run in runs.values()),
    ]
    title = f"Peak memory in MB · CPU seconds of each stage, under a limit of {limit:,.0f} MB ({platform.machine()})."
    return f"{title}\n\n{markdown_table(header, [documents, *rows, peaks, cost])}"


def told_skew(runs: dict[str, dict[str, Any]]) -> str:
    """Peak and cost of each stage for each kind of skew, as Markdown."""
    rows = [[asset, *(_cell(run, asset) for run in runs.values())] for asset in _assets(runs)]
    kept = ["documents kept", *(f"{run['kept']:,}" for run in runs.values())]
    return f"Peak memory in MB · CPU seconds.\n\n{markdown_table(['stage', *runs], [*rows, kept])}"


def _cell(run: dict[str, Any], asset: str) -> str:
    cost = run["stages"].get(asset)
    return f"{cost['peak']:,.0f} · {cost['cpu']:,.1f}" if cost else ""


def _peak(run: dict[str, Any]) -> float:
    return max(cost["peak"] for cost in run["stages"].values())


def _cpu(run: dict[str, Any]) -> float:
    return sum(cost["cpu"] for asset, cost in run["stages"].items() if asset.startswith("corpus/"))


def growth_plot(runs: dict[float, dict[str, Any]]) -> str:
    """Peak memory of each stage over the size of the corpus, as SVG."""
    from headwater.assets.plots import curves_over

    peaks = {
        asset: {
            round(run["megabytes"]): [run["stages"][asset]["peak"]] for run in runs.values() if asset in run["stages"]
        }
        for asset in _assets(runs)
    }
    return curves_over(peaks, "Peak memory of each stage", "corpus, MB of text", "MB")


if __name__ == "__main__":
    main()
