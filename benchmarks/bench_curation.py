"""Curation beside a plain-Python reference of Gopher's quality rules.

Two things are told. The whole default step (Unicode repair, signals, decisions) in megabytes per CPU second: what a
corpus costs. And one and the same task on both sides, Gopher's quality rules (Rae et al. 2021, arXiv:2112.11446, A.1.1)
on every document, where the reference shows by how much compiled kernels are faster and that they decide alike.
"""

import re
from pathlib import Path

from common import Benchmark, Peer, Result, comparison, corpus, measured, median, prepare_corpus, run, times, told

from headwater.assets.curation.options import CurationOptions
from headwater.assets.curation.rule_sets import GopherQuality

_STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
_AROUND = re.compile(r"^[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+|[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+$")
_BULLET = re.compile(r"[•‣▶◀◦■□▪▫–]|[*-](?:\s|$)")


def _gopher_everywhere() -> CurationOptions:
    return CurationOptions(transforms=(), rules=(GopherQuality(applies_to="any"),))


def _curated(folder: Path, options: CurationOptions) -> Result:
    from headwater.assets.curation.decide import decide
    from headwater.assets.curation.measure import curate
    from headwater.assets.curation.options import rules_of

    documents, ledger = corpus(folder)
    rules = rules_of(options)
    with measured() as kernels:
        decide(curate(documents.slice(0, 2), ledger.slice(0, 2), options)[1], ledger, rules)
    with measured() as cost:
        _, signals = curate(documents, ledger, options)
        decisions = decide(signals, ledger, rules)
    kept = decisions["kept"].to_pylist()
    return cost | {"dropped": [row for row, stays in enumerate(kept) if not stays], "kernels": kernels["cpu"]}


def _default(folder: Path) -> Result:
    return _curated(folder, CurationOptions())


def _gopher(folder: Path) -> Result:
    return _curated(folder, _gopher_everywhere())


def _reference(folder: Path) -> Result:
    texts = corpus(folder)[0]["text"].to_pylist()
    with measured() as cost:
        dropped = [row for row, text in enumerate(texts) if not passes_gopher_quality(text)]
    return cost | {"dropped": dropped}


def passes_gopher_quality(text: str) -> bool:
    """The rules as one would write them down; like Headwater, every measurement is made before any is judged."""
    words = text.split()
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    if not words:
        return False
    symbols = text.count("#") / len(words), (text.count("...") + text.count("…")) / len(words)
    bullets = sum(bool(_BULLET.match(line)) for line in lines) / len(lines)
    ellipses = sum(line.endswith(("...", "…")) for line in lines) / len(lines)
    alphabetic = sum(any(map(str.isalpha, word)) for word in words) / len(words)
    mean_length = sum(map(len, words)) / len(words)
    stop_words = _STOP_WORDS & {_AROUND.sub("", word).lower() for word in words}
    return (
        50 <= len(words) <= 100_000
        and 3 <= mean_length <= 10
        and max(symbols) <= 0.1
        and bullets <= 0.9
        and ellipses <= 0.3
        and alphabetic >= 0.8
        and len(stop_words) >= 2
    )


PEERS = {
    # The first process of a run finds an empty folder of kernels, the later ones what it left there.
    "compiling": Peer("headwater, kernels not compiled yet", _default, repetitions=1),
    "default": Peer("headwater: default repair, signals and decisions", _default),
    "gopher": Peer("headwater: Gopher quality alone", _gopher),
    "reference": Peer("plain Python: Gopher quality alone", _reference),
}


def _report(facts: Result, results: dict[str, list[Result]]) -> str:
    own = median(results["gopher"], "cpu")

    def cells(key: str, runs: list[Result]) -> list[str]:
        cpu = median(runs, "cpu")
        dropped = f"{len(runs[0]['dropped']):,}"
        return [f"{cpu:.2f}", times(cpu, own), f"{facts['megabytes'] / cpu:.1f}", dropped]

    shown = {key: peer for key, peer in PEERS.items() if key != "compiling"}
    table = comparison(shown, results, ["CPU s", "same task, headwater = 1", "MB per CPU s", "dropped"], cells)
    differing = set(results["gopher"][0]["dropped"]) ^ set(results["reference"][0]["dropped"])
    cold, warm = median(results["compiling"], "kernels"), median(results["default"], "kernels")
    return (
        f"{told(facts)} The last two rows do the same task; they decide differently on {len(differing)} of "
        f"{facts['documents']:,} documents.\n\n{table}\n\nApart from that, the default kernels: {cold:.1f} CPU s "
        f"to compile once on a machine, {warm:.2f} to load from the cache in each later process."
    )


if __name__ == "__main__":
    run(Benchmark("bench_curation", "Curation", prepare_corpus, PEERS, _report))
