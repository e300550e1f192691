"""Encoding beside other engines of byte-level BPE: from a table of documents to ids, with one and the same tokenizer.

Headwater's figure is that of the whole kernel of its stage: from the columns doc_id and text to a table with doc_id,
ids led by an end-of-text token, bytes, and the spans of all documents. It lets the table of a batch go before the next
one, as the stage writes it away; what memory it takes beyond the texts is told. The bare engines give arrays of ids.
All ids are compared with Hugging Face's, document by document; that library takes a share of the documents, on which
the others are compared with it. A document that spells `<|endoftext|>` is among them: an engine that takes it for the
token itself differs there.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
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
    told,
)

GOAL = 60.0  # MB per CPU second
MEMORY_GOAL = 400.0  # MB
_SHARE_MEGABYTES = 20.0
_SAMPLE = 1_500  # documents from which the tokenizer is fitted
_BATCH = 500
_SPELLED = "a document that spells <|endoftext|> in its text"


def _prepare(folder: Path, megabytes: float) -> Result:
    from headwater.assets.fitting.byte_level_bpe import fit_byte_level_bpe
    from headwater.assets.fitting.options import ByteLevelBpeOptions

    facts = prepare_peer_corpus(folder, megabytes)
    texts = corpus(folder)[0]["text"]
    fitted = fit_byte_level_bpe(texts.slice(0, _SAMPLE).to_pylist(), ByteLevelBpeOptions())
    (folder / "tokenizer.json").write_text(fitted.json)
    sizes = np.cumsum(pc.binary_length(texts).to_numpy())
    shared = int(np.searchsorted(sizes, min(_SHARE_MEGABYTES, megabytes) * 1e6))
    (folder / "share.json").write_text(json.dumps(shared))
    return facts | {"shared": shared + 1, "share_megabytes": float(sizes[shared - 1]) / 1e6}


def _documents(folder: Path) -> tuple[pa.Table, int]:
    """The documents with one more that spells a special token, first; how many the reference takes."""
    documents = corpus(folder)[0].select(["doc_id", "text"])
    one = pa.table({"doc_id": ["0" * 32], "text": [_SPELLED]}, schema=documents.schema)
    return pa.concat_tables([one, documents]).combine_chunks(), json.loads((folder / "share.json").read_text()) + 1


def _digests(rows: Iterable[np.ndarray]) -> list[str]:
    return [xxhash.xxh3_64_hexdigest(np.asarray(row, dtype=np.uint32).tobytes()) for row in rows]


def _headwater(folder: Path) -> Result:
    from headwater.assets.fitting.tokenizers import check_tokenizer
    from headwater.assets.tokenization.encoding import encode_batch
    from headwater.assets.tokenization.spans import assign_spans

    documents, shared = _documents(folder)
    tokenizer = check_tokenizer((folder / "tokenizer.json").read_text(), "<|endoftext|>", "<|pad|>", "tokenizer.json")
    encode_batch(tokenizer, documents.slice(0, 2))  # loads the kernels
    compared, lengths = [], []
    with peak_growth() as memory, measured() as cost:
        for at in range(0, len(documents), _BATCH):
            encoded = encode_batch(tokenizer, documents.slice(at, _BATCH))
            counts = pc.list_value_length(encoded["tokens"]).cast(pa.int64())
            lengths.append(encoded.drop_columns("tokens").append_column("count", counts))
            if at < shared:
                compared.append(encoded["tokens"].slice(0, shared - at))
        found = pa.concat_tables(lengths)
        assign_spans(found, pa.chunked_array([pa.repeat("corpus", len(found))]), "corpus-train", 0)
    rows = (row.values.to_numpy()[1:] for tokens in compared for row in tokens)
    return cost | memory | {"digests": _digests(rows)}


def _bare(load: Callable[[str], Callable[[list[str]], list[np.ndarray]]], share_only: bool = False) -> Callable:
    def work(folder: Path) -> Result:
        documents, shared = _documents(folder)
        texts = documents["text"].slice(0, shared if share_only else len(documents)).to_pylist()
        encode = load((folder / "tokenizer.json").read_text())
        encode(texts[:2])
        with peak_growth() as memory, measured() as cost:
            rows = [row for at in range(0, len(texts), _BATCH) for row in encode(texts[at : at + _BATCH])]
        return cost | memory | {"digests": _digests(rows[:shared])}

    return work


def _hugging_face(tokenizer_json: str) -> Callable[[list[str]], list[np.ndarray]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.encode_special_tokens = True  # or the text that spells a token would be one
    return lambda texts: [e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _gigatoken(tokenizer_json: str) -> Callable[[list[str]], list[np.ndarray]]:
    import awkward
    import gigatoken
    from tokenizers import Tokenizer

    tokenizer = gigatoken.Tokenizer(Tokenizer.from_str(tokenizer_json))

    def encode(texts: list[str]) -> list[np.ndarray]:
        found = tokenizer.encode_batch(texts, parallel=False)
        return _split(awkward.to_numpy(awkward.flatten(found)), np.cumsum(awkward.to_numpy(awkward.num(found))))

    return encode


def _fastokens(tokenizer_json: str) -> Callable[[list[str]], list[np.ndarray]]:
    import fastokens

    tokenizer = fastokens.Tokenizer.from_json_str(tokenizer_json)

    def encode(texts: list[str]) -> list[np.ndarray]:
        ids, offsets = tokenizer.encode_batch_flat(texts)
        return _split(np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.int64)[1:])

    return encode


def _split(ids: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    return np.split(ids, ends[:-1])


PEERS = {
    "headwater": Peer("headwater: table to table of ids, with spans", _headwater),
    "gigatoken": Peer("gigatoken: ids", _bare(_gigatoken), "gigatoken"),
    "fastokens": Peer("fastokens: ids", _bare(_fastokens), "fastokens"),
    "reference": Peer("Hugging Face tokenizers, encode_batch_fast, a share", _bare(_hugging_face, True), repetitions=1),
}


def _rate(facts: Result, key: str, runs: list[Result]) -> float:
    return facts["share_megabytes" if key == "reference" else "megabytes"] / median(runs, "cpu")


def _report(facts: Result, results: Mapping[str, list[Result]]) -> str:
    expected = results["reference"][0]["digests"]

    def cells(key: str, runs: list[Result]) -> list[str]:
        differing = sum(one != other for one, other in zip(runs[0]["digests"], expected, strict=True))
        rate = _rate(facts, key, runs)
        return [f"{median(runs, 'cpu'):.2f}", f"{rate:.1f}", f"{differing:,}", f"{median(runs, 'growth_mb'):,.0f}"]

    table = comparison(PEERS, results, ["CPU s", "MB per CPU s", "documents that differ", "memory, MB"], cells)
    return (
        f"{told(facts)} A vocabulary of 16,384. Ids are compared with Hugging Face's on {facts['shared']:,} documents "
        f"({facts['share_megabytes']:.1f} MB), one of which spells `<|endoftext|>`; memory is what each took beyond "
        f"the texts (Headwater lets the ids of a batch go, the engines keep all).\n\n{table}"
    )


def _headlines(facts: Result, results: Mapping[str, list[Result]]) -> list[Headline]:
    rates = {key: _rate(facts, key, runs) for key, runs in results.items() if runs}
    own, growth = rates.pop("headwater"), median(results["headwater"], "growth_mb")
    best = max(rates, key=lambda key: rates[key])
    name = "Hugging Face" if best == "reference" else f"{best}, ids alone"
    unequal = sum(
        one != other
        for one, other in zip(results["headwater"][0]["digests"], results["reference"][0]["digests"], strict=True)
    )
    return [
        Headline("tokenization, table to table with spans", "MB per CPU s", GOAL, own, peer=name, of_peer=rates[best]),
        Headline("tokenization, memory beyond the texts", "MB", MEMORY_GOAL, growth, less_is_better=True),
        Headline("documents whose ids differ from Hugging Face's", "documents", 0, unequal, less_is_better=True),
    ]


if __name__ == "__main__":
    title = "Tokenization"
    run(Benchmark("bench_tokenization", title, _prepare, PEERS, _report, _headlines, megabytes=267.5))
