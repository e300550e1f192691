"""Learning a byte-level BPE beside Hugging Face's trainer and gigabpe: from texts in memory to a tokenizer.

Headwater's figure is that of the whole fit of its stage: from Arrow batches of texts to a checked tokenizer.json.
Hugging Face's trainer gets the same texts and options, and its tokenizer.json must be the same to the letter. gigabpe
knows GPT-2's words alone, reads files line by line, and gives merges: Headwater is run in that setting too (each line a
text), and the merges of the two are compared (gigabpe leaves bytes that do not occur out of its vocabulary, so that it
has some more).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    run,
    times,
    told,
)
from corpora import prepare_peer_corpus

GOAL = 1.0  # CPU seconds for 30 MB
_SIZE = 16_384
_SPECIALS = ["<|endoftext|>", "<|pad|>"]
_BATCH = 256  # documents
_COMPARED = 15_000  # merges that are compared with gigabpe's
_LINES = "lines.txt"


def _prepare(folder: Path, megabytes: float) -> Result:
    facts = prepare_peer_corpus(folder, megabytes)
    texts = corpus(folder)[0]["text"].to_pylist()
    # One newline after each line, whatever the document's own line ends: that is how a file is read line by line.
    lines = [line for text in texts for line in text.replace("\r", "").split("\n")]
    (folder / _LINES).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return facts


def _options(pattern: str) -> Any:
    from headwater.assets.fitting.options import ByteLevelBpeOptions

    return ByteLevelBpeOptions(vocabulary_size=_SIZE, special_tokens=_SPECIALS, pattern=pattern)


def _batches(folder: Path, by_line: bool) -> list[pa.ChunkedArray]:
    if not by_line:
        texts = corpus(folder)[0]["text"]
        return [texts.slice(at, _BATCH) for at in range(0, len(texts), _BATCH)]
    lines = (folder / _LINES).read_text(encoding="utf-8").split("\n")[:-1]
    return [pa.chunked_array([pa.array([f"{line}\n" for line in lines], pa.large_string())])]


def _headwater(pattern: str, by_line: bool = False) -> Callable[[Path], Result]:
    def work(folder: Path) -> Result:
        from headwater.assets.fitting.byte_level_bpe import fit_byte_level_bpe

        batches = _batches(folder, by_line)
        with measured() as kernels:
            fit_byte_level_bpe([batches[0].slice(0, 2)], _options(pattern))
        with peak_growth() as memory, measured() as cost:
            fitted = fit_byte_level_bpe(batches, _options(pattern))
        return cost | memory | _told(fitted.json) | {"kernels": kernels["cpu"]}

    return work


def _told(tokenizer_json: str) -> Result:
    """A digest of the whole tokenizer, and of its first merges."""
    merges = [tuple(pair) for pair in json.loads(tokenizer_json)["model"]["merges"]]
    return {"tokenizer": _digest(tokenizer_json), "merges": _digest(merges[:_COMPARED])}


def _digest(content: Any) -> str:
    return hashlib.blake2b(str(content).encode(), digest_size=8).hexdigest()


def _reference(folder: Path) -> Result:
    from headwater.assets.fitting.byte_level_bpe import fit_by_library

    batches = _batches(folder, False)
    with peak_growth() as memory, measured() as cost:
        tokenizer = fit_by_library(batches, _options("digits_of_three"))
    return cost | memory | _told(tokenizer.to_str())


def _gigabpe(folder: Path) -> Result:
    import gigabpe

    with peak_growth() as memory, measured() as cost:
        _, merges = gigabpe.train_bpe(
            [str(folder / _LINES)],
            _SIZE,
            special_tokens=_SPECIALS,
            min_frequency=2,
            pretokenizer="bytelevel",
            threads=1,
        )
    return cost | memory | {"merges": _digest([tuple(pair) for pair in merges][:_COMPARED])}


PEERS = {
    # The first process of a run finds an empty folder of kernels, the later ones what it left there.
    "compiling": Peer("headwater, kernels not compiled yet", _headwater("digits_of_three"), repetitions=1),
    "headwater": Peer("headwater: documents, its default words", _headwater("digits_of_three")),
    "reference": Peer("Hugging Face tokenizers: the same", _reference, repetitions=1),
    "by_line": Peer("headwater: lines, GPT-2's words", _headwater("gpt2", by_line=True)),
    "gigabpe": Peer("gigabpe: lines, GPT-2's words", _gigabpe, "gigabpe"),
}


def _report(facts: Result, results: Mapping[str, list[Result]]) -> str:
    own = median(results["headwater"], "cpu")

    def cells(key: str, runs: list[Result]) -> list[str]:
        cost = median(runs, "cpu")
        return [
            f"{cost:.2f}",
            times(cost, own),
            f"{facts['megabytes'] / cost:.1f}",
            f"{median(runs, 'growth_mb'):,.0f}",
        ]

    shown = {key: peer for key, peer in PEERS.items() if key != "compiling"}
    table = comparison(shown, results, ["CPU s", "headwater = 1", "MB per CPU s", "memory, MB"], cells)
    cold, warm = median(results["compiling"], "kernels"), median(results["headwater"], "kernels")
    return (
        f"{told(facts)} A vocabulary of 16,384; memory is what each took beyond the texts, which gigabpe reads from a "
        f"file.\n\n{table}\n\n"
        f"Headwater's tokenizer.json {'equals' if _same(results) else 'DIFFERS from'} Hugging Face's."
        f"{_beside_gigabpe(results)} Apart from that, headwater's kernels: {cold:.1f} CPU s to compile once on a "
        f"machine, {warm:.2f} to load from the cache in each later process."
    )


def _same(results: Mapping[str, list[Result]]) -> bool:
    return len({run["tokenizer"] for key in ("headwater", "reference") for run in results[key]}) == 1


def _beside_gigabpe(results: Mapping[str, list[Result]]) -> str:
    if not results["gigabpe"]:
        return ""
    same = results["by_line"][0]["merges"] == results["gigabpe"][0]["merges"]
    return f" By lines, its first {_COMPARED:,} merges {'equal' if same else 'DIFFER from'} gigabpe's."


def _headlines(facts: Result, results: Mapping[str, list[Result]]) -> list[Headline]:
    others = {name: median(results[key], "cpu") for name, key in (("Hugging Face", "reference"), ("gigabpe", "gigabpe"))
              if results[key]}  # fmt: skip
    best = min(others, key=lambda name: others[name])
    own = median(results["headwater"], "cpu")
    goal = GOAL * facts["megabytes"] / 30
    return [
        Headline("learning a tokenizer", "CPU s", goal, own, True, peer=best, of_peer=others[best]),
        Headline("tokenizers that differ from Hugging Face's", "tokenizers", 0, float(not _same(results)), True),
    ]


if __name__ == "__main__":
    title = "Learning a tokenizer"
    run(Benchmark("bench_tokenizer_training", title, _prepare, PEERS, _report, _headlines, megabytes=30))
