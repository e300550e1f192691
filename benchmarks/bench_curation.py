"""Curation beside datatrove's filters and beside a plain-Python reference, on the corpus of the peers' figures.

Told are: the whole step with every built-in transform, signal and set of rules, and with the defaults; Gopher's rules
of quality and repetition (Rae et al. 2021, arXiv:2112.11446, A.1.1) on both sides, the same task, with what was decided
differently; and the whole step on other kinds of text. datatrove and the reference are slow: they get a share of the
documents, drawn by the order of hashed ids.
"""

import html
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from common import (
    PEER_MEGABYTES,
    Benchmark,
    Headline,
    Peer,
    Result,
    comparison,
    corpus,
    measured,
    median,
    prepare_peer_corpus,
    run,
    times,
    told,
)
from gopher_reference import failed_quality, failed_repetition
from real_texts import texts_of

from headwater.assets.corpus.datasets.fetching import FetchError
from headwater.assets.curation.options import CurationOptions, RedactPii, UnicodeRepair
from headwater.assets.curation.rule_sets import (
    C4,
    Code,
    FineWeb,
    GopherQuality,
    GopherRepetition,
    Language,
    Length,
    LicenseList,
    Pii,
    UrlList,
)
from headwater.assets.markdown import markdown_table

GOAL = 16  # MB per CPU second, everything together
SHARE_MEGABYTES = 3  # what datatrove and the reference get
BATCH_BYTES = 32_000_000
KIND_BYTES = 4_000_000  # of each other kind of text
_SETS: dict[str, tuple[Any, ...]] = {
    "quality": (GopherQuality(applies_to="any"),),
    "repetition": (GopherRepetition(applies_to="any"),),
}
_GOPHER = CurationOptions(transforms=(), rules=(*_SETS["quality"], *_SETS["repetition"]))
_EVERYTHING = CurationOptions(
    transforms=(UnicodeRepair(), RedactPii()),
    rules=(
        Length(), Code(), GopherQuality(), GopherRepetition(), C4(), FineWeb(), Pii(), Language(),
        UrlList(deny=("example.com",)), LicenseList(allow=("MIT", "Apache-2.0", "BSD-3-Clause")),
    ),
)  # fmt: skip


def _batches(documents: pa.Table, ledger: pa.Table) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Consecutive documents of about 32 MB, as a stage gets them."""
    ends, start = np.cumsum(pc.binary_length(documents["text"]).to_numpy()), 0
    while start < len(documents):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BATCH_BYTES)))
        yield documents.slice(start, stop - start), ledger.slice(start, stop - start)
        start = stop


def _curated(documents: pa.Table, ledger: pa.Table, options: CurationOptions) -> Result:
    """Cost of curation, and what was decided: `failed` of each document by the sets of Gopher's rules."""
    from headwater.assets.curation.decide import decide
    from headwater.assets.curation.measure import curate
    from headwater.assets.curation.options import rules_of

    rules, found = rules_of(options), []
    with measured() as kernels:
        warm_up = documents.slice(0, 1).set_column(2, "text", pa.array(["e\u0301 Ã© x\r\n a@b.org"], pa.large_string()))
        decide(curate(warm_up, ledger.slice(0, 1), options)[1], ledger, rules)
    with measured() as cost:
        for some, records in _batches(documents, ledger):
            signals = curate(some, records, options)[1]
            found.append((signals, decide(signals, records, rules)))
    decisions = pa.concat_tables([decision for _, decision in found])
    result = cost | {"kernels": kernels["cpu"], "dropped": pc.sum(pc.invert(decisions["kept"])).as_py()}
    if options is _GOPHER:
        signals = pa.concat_tables([part for part, _ in found])
        for name, rules_of_set in _SETS.items():
            judged = decide(signals, ledger, rules_of(CurationOptions(transforms=(), rules=rules_of_set)))
            result[name] = [_names(detail) for detail in judged["detail"].to_pylist()]
    return result


def _names(detail: str | None) -> list[str]:
    """The rules that a decision's detail names, without their set."""
    return [] if detail is None else [name.partition(".")[2] for name in detail.partition(": ")[2].split(", ")]


def _headwater(options: CurationOptions) -> Callable[[Path], Result]:
    return lambda folder: _curated(*corpus(folder), options)


def _share(folder: Path) -> list[str]:
    documents = corpus(folder)[0]
    ends = np.cumsum(pc.binary_length(documents["text"]).to_numpy())
    return documents["text"].slice(0, max(1, int(np.searchsorted(ends, SHARE_MEGABYTES * 1e6)))).to_pylist()


def _reference(folder: Path) -> Result:
    texts = _share(folder)
    with measured() as cost:
        failed = [(failed_quality(text), failed_repetition(text)) for text in texts]
    return _of_share(cost, texts) | {"quality": [q for q, _ in failed], "repetition": [r for _, r in failed]}


def _of_share(cost: Result, texts: list[str]) -> Result:
    return cost | {"megabytes": sum(len(text.encode()) for text in texts) / 1e6, "share": len(texts)}


def _datatrove(*filters: str) -> Callable[[Path], Result]:
    """Filters of datatrove one after the other on each document; the second also sees what the first drops."""

    def work(folder: Path) -> Result:
        from datatrove.data import Document
        from datatrove.pipeline import filters as of_datatrove

        made = [getattr(of_datatrove, name)() for name in filters]
        texts = _share(folder)
        for one in made:
            one.filter(Document(text="These words load the tokenizer. " * 20, id=""))
        with measured() as cost:
            verdicts = [[_verdict(one, Document(text=text, id="")) for one in made] for text in texts]
        reasons = {name: [row[at] for row in verdicts] for at, name in enumerate(filters)}
        dropped = sum(any(row) for row in verdicts)
        return _of_share(cost, texts) | {"reasons": reasons, "dropped": dropped}

    return work


def _verdict(one: Any, document: Any) -> str:
    """Why a filter drops a document, empty where it keeps it."""
    found = one.filter(document)
    return "" if found is True else "dropped" if found is False else found[1]


def _other_kinds(folder: Path) -> Result:
    found: Result = {}
    for kind, texts in _kinds(corpus(folder)[0]):
        count = len(texts)
        documents = pa.table(
            {
                "doc_id": [f"{at:032x}" for at in range(count)],
                "content_id": [f"{at:032x}" for at in range(count)],
                "text": pa.array(texts, pa.large_string()),
            }
        )
        nothing = pa.nulls(count, pa.string())
        ledger = pa.table(
            {"doc_id": documents["doc_id"], "format": ["prose"] * count, "url": nothing, "license": nothing}
        )
        size = pc.sum(pc.binary_length(documents["text"])).as_py() / 1e6
        found[kind] = size / _curated(documents, ledger, _EVERYTHING)["cpu"]
    return {"kinds": found, "cpu": 0.0}


def _kinds(documents: pa.Table) -> Iterator[tuple[str, list[str]]]:
    """Texts of other kinds than the corpus has, at most 4 MB of each, the documents themselves changed or made."""
    for language in ("chinese", "japanese", "russian", "german"):
        try:
            yield language, _capped(texts_of(language))
        except FetchError:  # a machine without network or apt
            continue
    own = _capped(documents["text"].to_pylist())
    draw = np.random.default_rng(0)
    numbers = ["\n".join(" ".join(f"{x:.6f}" for x in row) for row in draw.normal(size=(200, 10))) for _ in range(200)]
    log = "\n".join(f"2026-01-02 12:{at % 60:02}:45,{at:03} INFO worker-{at % 7} took {at}.5 ms" for at in range(5000))
    visits = "\n".join(f"8.8.{at % 256}.7 - user{at}@example.org [02/Jan/2026] GET /{at} 200" for at in range(5000))
    yield "pieces of 2 kB", [text[at : at + 2000] for text in own for at in range(0, len(text), 2000)]
    yield "Windows line ends", [text.replace("\n", "\r\n") for text in own]
    yield "HTML", [f"<html><p class='a'>{html.escape(text).replace(chr(10), '</p><p>')}</p></html>" for text in own]
    yield "terminal colours", ["\n".join(f"\x1b[31m{line}\x1b[0m" for line in text.split("\n")) for text in own]
    yield "the same line repeated", ["The same line, again and again.\n" * 3000] * 40
    yield "tables of numbers", numbers
    yield "a log with times", [log] * 10
    yield "a log with addresses on each line", [visits] * 10
    line = "Ã¼ber das schÃ¶ne Wetter im Norden, sagte er zum {}. Mal.\n"
    yield "mojibake on each line", ["".join(line.format(at * 30 + k) for k in range(30)) for at in range(600)]


def _capped(texts: Iterable[str]) -> list[str]:
    found, size = [], 0
    for text in texts:
        size += len(text.encode())
        if found and size > KIND_BYTES:
            break
        found.append(text)
    return found


_OF_DATATROVE = {
    "datatrove": ("Gopher quality and repetition", ("GopherQualityFilter", "GopherRepetitionFilter")),
    "datatrove_quality": ("Gopher quality", ("GopherQualityFilter",)),
    "datatrove_repetition": ("Gopher repetition", ("GopherRepetitionFilter",)),
    "datatrove_c4": ("C4", ("C4QualityFilter",)),
    "datatrove_fineweb": ("FineWeb", ("FineWebQualityFilter",)),
}
PEERS = {
    # The first process of a run finds an empty folder of kernels, the later ones what it left there.
    "compiling": Peer("headwater, kernels not compiled yet", _headwater(_EVERYTHING), repetitions=1),
    "everything": Peer("headwater: every transform, signal and rule", _headwater(_EVERYTHING)),
    "default": Peer("headwater: default repair, signals and rules", _headwater(CurationOptions())),
    "gopher": Peer("headwater: Gopher quality and repetition", _headwater(_GOPHER)),
    **{
        key: Peer(f"datatrove: {task}", _datatrove(*filters), module="datatrove", repetitions=1)
        for key, (task, filters) in _OF_DATATROVE.items()
    },
    "reference": Peer("plain Python: Gopher quality and repetition", _reference, repetitions=1),
    "kinds": Peer("headwater: other kinds of text", _other_kinds, repetitions=1),
}


def _speed(facts: Result, runs: list[Result]) -> float:
    """Megabytes per CPU second."""
    return runs[0].get("megabytes", facts["megabytes"]) / median(runs, "cpu")


def _report(facts: Result, results: Mapping[str, list[Result]]) -> str:
    own = _speed(facts, results["gopher"])

    def cells(key: str, runs: list[Result]) -> list[str]:
        speed = _speed(facts, runs)
        share = f"{runs[0]['share']:,}" if "share" in runs[0] else "all"
        return [share, f"{facts['megabytes'] / speed:,.1f}", f"{speed:.3g}", times(own, speed)]

    shown = {key: peer for key, peer in PEERS.items() if key not in ("compiling", "kinds")}
    header = ["documents", "CPU s for all", "MB per CPU s", "headwater's Gopher rules: times as fast"]
    parts = [
        f"{told(facts)} Where fewer than all documents were taken, the seconds for all are extrapolated.",
        comparison(shown, results, header, cells),
        _agreement(results),
        _told_kinds(results["kinds"]),
        f"Apart from that, all kernels: {median(results['compiling'], 'kernels'):.0f} CPU s to compile once on a "
        f"machine, {median(results['everything'], 'kernels'):.1f} to load from the cache in each later process.",
    ]
    return "\n\n".join(part for part in parts if part)


def _agreement(results: Mapping[str, list[Result]]) -> str:
    own, reference = results["gopher"][0], results["reference"][0]
    count = reference["share"]
    unlike = sum(own[name][:count] != reference[name] for name in _SETS)
    text = (
        f"Beside the reference, on {count:,} documents: {unlike} differences in the lists of all Gopher rules that a "
        "document fails."
    )
    if not results["datatrove"]:
        return text
    rows, reasons = [], results["datatrove"][0]["reasons"]
    for name, theirs in zip(_SETS, reasons.values(), strict=True):
        both = list(zip(own[name], theirs, strict=False))
        only = Counter(failed[0] for failed, other in both if failed and not other)
        others = Counter(other for failed, other in both if other and not failed)
        same = sum(bool(failed) == bool(other) for failed, other in both)
        rows.append([name, f"{same:,} of {len(both):,}", _listed(only), _listed(others)])
    return (
        f"{text} Beside datatrove ([why](how-to/curate.md#gophers-rules-here-and-in-datatrove)):\n\n"
        + markdown_table(
            [
                "",
                "the same decision",
                "dropped by headwater alone, by rule",
                "dropped by datatrove alone, by its reason",
            ],
            rows,
        )
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


def _told_kinds(runs: list[Result]) -> str:
    rows = [[kind, f"{speed:.3g}"] for kind, speed in runs[0]["kinds"].items()]
    text = "Every transform, signal and rule, on other kinds of text"
    slow = [kind for kind, speed in runs[0]["kinds"].items() if speed < GOAL / 3]
    if slow:
        text += (
            f" (below a third of the target: {', '.join(slow)}; personal data in each line goes through Python's "
            "patterns, mojibake in each line through ftfy)"
        )
    return f"{text}:\n\n" + markdown_table(["", "MB per CPU s"], rows)


def _headlines(facts: Result, results: Mapping[str, list[Result]]) -> list[Headline]:
    peer = _speed(facts, results["datatrove"]) if results["datatrove"] else None
    unit = "MB per CPU s"
    return [
        Headline("Gopher quality and repetition", unit, 25, _speed(facts, results["gopher"]),
                 peer=None if peer is None else "datatrove", of_peer=peer),
        Headline("signals and rules of the default pipeline", unit, GOAL, _speed(facts, results["default"])),
        Headline("every transform, signal and rule there is", unit, GOAL, _speed(facts, results["everything"])),
    ]  # fmt: skip


if __name__ == "__main__":
    title = "Curation"
    run(Benchmark("bench_curation", title, prepare_peer_corpus, PEERS, _report, _headlines, megabytes=PEER_MEGABYTES))
