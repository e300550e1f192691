"""What a refresh costs beside a full run: the same stages over a corpus, nothing changed, and 1 % more documents.

Each phase runs raw → shards in a process of its own, on one core and without Ray, and tells CPU seconds and bytes read
stage by stage. The target: with 1 % added, the CPU time above that of a refresh of nothing is at most 3 % of the full
run's, told of all stages and of those that the target names, which are curation to shards: what reading costs depends
on where the files lie. The tokenizer is fitted once, on the first corpus, and held.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import cpu_seconds, write_section

from headwater.assets.markdown import markdown_table

FILES = 1_000
PHASES = ("full", "nothing", "added", "removed")
# The most frequent words: without them the default rules take random words for something other than prose.
FUNCTION_WORDS = ["the", "of", "and", "to", "in", "that", "is", "was", "for", "with", "be", "have", "this", "from"]
Written = tuple[dict[Path, Path], float, int]  # where each file held back belongs and lies, megabytes, documents
TITLES = {
    "full": "full run",
    "nothing": "refresh, nothing changed",
    "added": "refresh, 1 % added",
    "removed": "refresh, 1 % removed",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--documents", type=int, default=100_000, help="documents of the synthetic corpus")
    parser.add_argument("--default-corpus", action="store_true", help="the installed packages instead, as files")
    parser.add_argument("--megabytes", type=float, help="so much of the installed packages (default: all of them)")
    parser.add_argument("--one-process", action="store_true", help="all phases in one process: start-up counts once")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder, removed at the end)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this Markdown page")
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.megabytes and not given.default_corpus:
        parser.error("--megabytes is about --default-corpus; say how large another is by --documents")
    if given.phase:
        print(json.dumps(run_phase(given.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as temporary:
        phase = run_phase_here if given.one_process else _in_a_process
        compare(Path(temporary) / "small", partial(write_corpus, documents=2_000), phase)  # compiles kernels, once
        write = partial(write_corpus, documents=given.documents)
        if given.default_corpus:
            write = partial(copy_packages, limit=given.megabytes)
        text = compare(given.folder or Path(temporary) / "corpus", write, phase)
    print(f"\n{text}")
    if given.write:
        write_section(given.write, _section(given), text)


def _section(given: argparse.Namespace) -> str:
    name = "refresh"
    if given.default_corpus:
        name += "-default" if given.megabytes else "-packages"
    return f"{name}-warm" if given.one_process else name


def compare(folder: Path, write: Callable[[Path], Written], run: Callable[[Path, str], dict[str, Any]]) -> str:
    """Runs all phases over one corpus and tells the table as Markdown."""
    say("writing the corpus")
    added, megabytes, count = write(folder)
    measured = {}
    for phase in PHASES:
        if phase == "added":
            for path, held_back in added.items():
                held_back.rename(path)
        if phase == "removed":
            for path in sorted(path for path in (folder / "documents").rglob("*") if path.is_file())[: len(added)]:
                path.unlink()
        say(TITLES[phase])
        measured[phase] = run(folder, phase)
    return report(measured, megabytes, count)


def _in_a_process(folder: Path, phase: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--phase", phase, "--folder", str(folder)]
    environment = os.environ | {"HEADWATER_ENGINE": "local", "OMP_NUM_THREADS": "1", "LANCE_IO_THREADS": "2"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_phase_here(folder: Path, phase: str) -> dict[str, Any]:
    """The same in this process, which has loaded its modules and kernels by the second phase."""
    os.environ.update(HEADWATER_ENGINE="local", OMP_NUM_THREADS="1")
    return run_phase(folder)


def run_phase(folder: Path) -> dict[str, Any]:
    """Materializes every data stage and tells its cost."""
    from headwater.assets.running import run_stage
    from headwater.assets.stages import in_order
    from headwater.assets.storage.places import Store
    from headwater.assets.workspace import Workspace

    stages = in_order([stage for component in components(folder) for stage in component.stages("refresh")])
    store, workspace, costs = Store(str(folder / "store")), Workspace(folder), {}
    for stage in stages:
        cpu, wall, read = cpu_seconds(), time.perf_counter(), bytes_read()
        result = run_stage(stage, store, workspace, log=lambda _: None)
        costs[stage.asset] = {
            "cpu": cpu_seconds() - cpu,
            "wall": time.perf_counter() - wall,
            "read": (bytes_read() - read) / 1e6,
            "reused": result.reused,
            "documents": result.record.metrics.get("kept", result.record.metrics.get("documents")),
        }
    return costs


def components(folder: Path) -> list[Any]:
    """The measured pipeline, at its defaults."""
    from headwater.assets.corpus.component import Corpus
    from headwater.assets.fitting.component import Fit
    from headwater.assets.sharding.component import Shards

    kind = json.loads((folder / "source.json").read_text())
    deduplication = {"max_lost_share": 1.0}
    return [
        Corpus(name="corpus", sources=[kind], held_out={"share": 0.01}, deduplication=deduplication),
        Fit(name="pairs", corpus="corpus", fit={"kind": "byte_level_bpe", "vocabulary_size": 4096}),
        Shards(name="packed", corpora=["corpus"], tokenizer="pairs", sequence_length=512),
    ]


def bytes_read() -> float:
    """Bytes this process has asked the system for, where Linux tells."""
    path = Path("/proc/self/io")
    lines = dict(line.split(": ") for line in path.read_text().splitlines()) if path.exists() else {}
    return float(lines.get("rchar", "nan"))


def write_corpus(folder: Path, documents: int) -> Written:
    """Random prose of 100 to 400 words with 4 % near and 2 % exact duplicates, as JSON lines; 1 % is held back."""
    per_file, held_back = max(documents // FILES, 50), {}
    files = -(-documents // per_file)
    later = max(files // 100, 1)
    (folder / "documents").mkdir(parents=True)
    size = 0
    for number, lines in enumerate(_files(files + later, per_file)):
        path = folder / "documents" / f"part-{number:05d}.jsonl"
        if number >= files:
            held_back[path] = folder / path.name
        else:
            size += sum(map(len, lines))
        held_back.get(path, path).write_text("".join(lines))
    (folder / "source.json").write_text(json.dumps({"kind": "jsonl", "path": "documents/*.jsonl"}))
    return held_back, size / 1e6, files * per_file


def _files(count: int, size: int) -> Iterator[list[str]]:
    rng, chooser = np.random.default_rng(0), random.Random(0)
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
    drawn_words = ["".join(chooser.choices(syllables, k=chooser.randint(1, 4))) for _ in range(20_000)]
    words = np.array([*FUNCTION_WORDS, *drawn_words])
    weights = 1 / np.arange(10, 10 + len(words))
    weights /= weights.sum()
    earlier: list[list[str]] = []
    for _ in range(count):
        lengths = rng.integers(100, 400, size)
        drawn = np.split(rng.choice(words, lengths.sum(), p=weights), np.cumsum(lengths)[:-1])
        texts = [list(part) for part in drawn]
        for place in range(0, size, 50) if earlier else ():
            texts[place] = chooser.choice(earlier)
            for copy in (1, 2):
                texts[place + copy] = list(chooser.choice(earlier))
                texts[place + copy][chooser.randrange(40)] = "changed"
        earlier = [*earlier[-4_000:], *texts[3::50]]
        yield [json.dumps({"text": _sentences(text)}) + "\n" for text in texts]


def _sentences(words: list[str]) -> str:
    parts = [" ".join(words[n : n + 9]).capitalize() + "." for n in range(0, len(words), 9)]
    return " ".join(parts)


def copy_packages(folder: Path, limit: float | None) -> Written:
    """The default pipeline's corpus as plain files, whole or so many megabytes; every hundredth is held back."""
    from headwater.assets.corpus.options import InstalledPackages
    from headwater.assets.corpus.reading import list_files

    held_back, size, found = {}, 0, list_files(InstalledPackages(max_megabytes=limit), folder)
    for number, file in enumerate(found):
        path = folder / "documents" / file.uri
        target = folder / f"later-{number}" if number % 100 == 99 else path
        path.parent.mkdir(parents=True, exist_ok=True)
        content = Path(file.url.removeprefix("file://")).read_bytes()
        target.write_bytes(content)
        size += len(content)
        if target is not path:
            held_back[path] = target
    (folder / "source.json").write_text(json.dumps({"kind": "text_files", "path": "documents/**"}))
    return held_back, size / 1e6, len(found) - len(held_back)


def report(measured: dict[str, dict[str, Any]], megabytes: float, count: int) -> str:
    """The figures as Markdown."""
    assets = list(measured["full"])
    data = [asset for asset in assets if not asset.endswith("tokenizer")]
    rows = [[asset, *(_cell(measured[phase][asset]) for phase in PHASES)] for asset in assets]
    total = {phase: sum(measured[phase][asset]["cpu"] for asset in data) for phase in PHASES}
    read = {phase: sum(measured[phase][asset]["read"] for asset in data) for phase in PHASES}
    rows.append(["**sum without the fit, CPU s**", *(f"{total[phase]:.2f}" for phase in PHASES)])
    left = [f"{measured[phase]['corpus/deduplicated']['documents']:,}" for phase in PHASES]
    rows.append(["documents left by deduplication", *left])
    rows.append(["read, MB", *(f"{read[phase]:,.1f}" for phase in PHASES)])
    rows.append(["share of the full run, less nothing", "", "", *_shares(measured, data)])
    named = [asset for asset in data if not asset.endswith("/raw")]
    rows.append(["**the same from curation to shards**", "", "", *_shares(measured, named)])
    title = f"{count:,} documents, {megabytes:,.0f} MB. CPU seconds of each stage, one core ({platform.machine()})."
    return f"{title}\n\n{markdown_table(['stage', *(TITLES[phase] for phase in PHASES)], rows)}"


def _shares(measured: dict[str, dict[str, Any]], assets: list[str]) -> list[str]:
    total = {phase: sum(measured[phase][asset]["cpu"] for asset in assets) for phase in PHASES}
    return [f"{(total[phase] - total['nothing']) / total['full']:.2%}" for phase in ("added", "removed")]


def _cell(cost: dict[str, Any]) -> str:
    return f"{cost['cpu']:.2f}{' (reused)' if cost['reused'] else ''}"


def say(text: str) -> None:
    """A line for whoever waits."""
    print(f"{text} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
