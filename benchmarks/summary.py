"""One table of all benchmarks: each step of the data path, the best peer of the same run, the target, what was reached.

Each `bench_*.py --results FOLDER` leaves its rows there; here they become the table that `make bench` ends with, a plot
of the ratios to the peers, and a section of docs/performance.md. With `--keep`, rows of that page that the results do
not have stay, and so does what it says of their machine: single benchmarks can be run again by themselves.
"""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import psutil
from common import Headline, write_section

from headwater.assets.markdown import markdown_table
from headwater.assets.plots import BLUE, FAINT, INK, VERMILION

# In the order in which data flows; others follow.
ORDER = ("deduplication", "curation", "tokenizer_training", "tokenization", "shards", "loader", "whole_path")
_PICTURE = Path("images") / "performance.svg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("results", type=Path, help="folder that the benchmarks' --results named")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put table and plot into this Markdown page")
    parser.add_argument("--keep", action="store_true", help="of the page: rows that these results do not have")
    given = parser.parse_args()
    found = read_results(given.results)
    headlines = [headline for result in found for headline in result["headlines"]]
    said = surroundings(found)
    if given.keep and given.write:
        steps = {line.step for line in headlines}
        earlier, before = of_page(given.write.read_text())
        new = {line.step: line for line in headlines}
        known = [line.step for line in earlier]
        headlines = [new.get(line.step, line) for line in earlier] + [new[step] for step in new if step not in known]
        said = f"{before}\n\nMeasured by themselves later ({', '.join(sorted(steps))}): {said}"
    text = f"{table(headlines)}\n\n{said}"
    print(f"\n{text}")
    picture = (given.write.parent if given.write else given.results) / _PICTURE
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(ratios(headlines))
    if given.write:
        shown = f"![How many times better than the best peer, by step]({_PICTURE.as_posix()})"
        write_section(given.write, "summary", f"{text}\n\n{shown}")


def of_page(page: str) -> tuple[list[Headline], str]:
    """The rows of a page's table, and the paragraphs below it on how they were measured."""
    section = page.partition("<!-- summary -->")[2].partition("<!-- /summary -->")[0]
    lines = [line for line in section.strip().splitlines() if line]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    said = [line for line in lines if not line.startswith(("|", "!["))]
    return [_row(*cells) for cells in rows], "\n\n".join(said)


def _row(step: str, unit: str, peer: str, target: str, reached: str, *_: str) -> Headline:
    name, _, figure = peer.rpartition(": ")
    known = {"peer": name, "of_peer": _number(figure)} if name else {}
    return Headline(step, unit, _number(target[1:]), _number(reached.strip("*")), target[0] == "≤", **known)


def _number(figure: str) -> float:
    return float(figure.replace(",", ""))


def read_results(folder: Path) -> list[dict[str, Any]]:
    """What the benchmarks left, in the order in which data flows.

    Raises:
        SystemExit: nothing is there.
    """
    files = sorted(folder.glob("*.json"), key=lambda file: (_place(file.stem), file.stem))
    if not files:
        raise SystemExit(f"{folder} holds no results: run benchmarks/bench_*.py --results {folder} first")
    found = [json.loads(file.read_text()) for file in files]
    return [result | {"headlines": [Headline(**row) for row in result["headlines"]]} for result in found]


def _place(name: str) -> int:
    return next((place for place, part in enumerate(ORDER) if name.endswith(part)), len(ORDER))


def table(headlines: list[Headline]) -> str:
    """A row for each measured step, as Markdown."""
    header = ["step", "unit", "best peer, same run", "target", "reached", "ratio to the peer", ""]
    rows = []
    for line in headlines:
        peer = "" if line.of_peer is None else f"{line.peer}: {_figure(line.of_peer)}"
        target = f"{'≤' if line.less_is_better else '≥'} {_figure(line.goal)}"
        ratio = "" if line.ratio is None else f"{line.ratio:.3g} ×"
        met = "" if line.met else "missed"
        rows.append([line.step, line.unit, peer, target, f"**{_figure(line.reached)}**", ratio, met])
    return markdown_table(header, rows)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def surroundings(found: list[dict[str, Any]]) -> str:
    """The machine and the versions, in a sentence or two."""
    versions = {name: number for result in found for name, number in result["versions"].items()}
    sizes = sorted({result["megabytes"] for result in found})
    memory = psutil.virtual_memory().total / 1e9
    return (
        f"Corpora of {', '.join(f'{size:g}' for size in sizes)} MB. {_processor()}, {os.cpu_count()} processors, "
        f"{memory:.0f} GB of memory, {platform.system()}, Python {platform.python_version()}. Peers: "
        f"{', '.join(f'{name} {number}' for name, number in sorted(versions.items()))}."
    )


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def ratios(headlines: list[Headline]) -> str:
    """The ratios to the best peers as SVG: one row for each step, on a logarithmic axis that 1, the peer, divides."""
    import io

    import matplotlib
    from matplotlib.figure import Figure

    shown = [(line, max(line.ratio, 0.01)) for line in headlines if line.ratio is not None][::-1]  # 0 has no place
    with matplotlib.rc_context({"svg.hashsalt": "headwater", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8.4, 1.1 + 0.32 * max(len(shown), 1)), layout="constrained")
        axes = figure.add_subplot()
        for place, (line, ratio) in enumerate(shown):
            colour = BLUE if line.met else VERMILION
            axes.plot([1, ratio], [place, place], color=colour, linewidth=5, solid_capstyle="butt")
            axes.annotate(f" {line.ratio:.3g} × {line.peer}", (max(ratio, 1), place), va="center", color=INK)
        axes.set_xscale("log")
        axes.set_yticks(range(len(shown)), [line.step for line, _ in shown])
        axes.set_xlim(min([0.8, *(ratio * 0.8 for _, ratio in shown)]), max([2, *(ratio * 9 for _, ratio in shown)]))
        axes.axvline(1, color=FAINT, linewidth=0.8)
        axes.set_xlabel("times better than the best peer of the same run (blue: target reached)")
        axes.spines[["top", "right"]].set_visible(False)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


if __name__ == "__main__":
    main()
