"""Writing shards, and reading shuffled batches of tokens: Headwater's loader, the webdataset library on the same tars,
a bare memory map.

The tokens are the corpus's bytes, one token each, so that no tokenizer takes part. All give batches of 32 samples of
1,024 tokens as int64 tensors. Headwater's loader also gives segments, the loss mask and each sample's name, in an order
that resumes at any step. webdataset shuffles within a buffer as large as Headwater's window, in the order of its files,
and remembers no position. Indexing a memory map of nothing but tokens by a permutation drawn beforehand is the limit:
what remains is copying.

Written are as many samples of tokens as the peers' figures were taken on: by Headwater packed into blocks, hashed and
indexed; by webdataset a member each, as its documentation shows; by NumPy as one array, which is the limit.
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from common import (
    Benchmark,
    Headline,
    Peer,
    Result,
    comparison,
    corpus,
    measured,
    median,
    prepare_corpus,
    run,
    times,
    told,
)

from headwater.assets.sharding.options import SamplingOptions, ShardsOptions
from headwater.assets.sharding.packing import pack_blocks, plan_shards
from headwater.assets.sharding.shards import ShardIndex, write_index, write_shard

STREAM, BATCH, EPOCHS = "bytes-train", 32, 10
END_OF_TEXT, PAD = 256, 257
WRITTEN = 71_860  # samples, as in the figures of the peers
GOAL = 0.6  # CPU seconds to write them
SHARDS = ShardsOptions(shard_megabytes=8)


def _prepare(folder: Path, megabytes: float) -> Result:
    facts = prepare_corpus(folder, megabytes)
    tokens = _byte_tokens(corpus(folder)[0]["text"])
    length, block = SHARDS.sequence_length, SHARDS.block_samples
    entries = []
    for plan in plan_shards(len(tokens), length, block, SHARDS.shard_samples(tokens.itemsize)):
        chunks = [tokens[plan.token_start : plan.token_stop]]
        entries.append(write_shard(str(folder), STREAM, plan.number, pack_blocks(chunks, plan, length, block, PAD)))
    index = ShardIndex(length, block, tokens.dtype.name, END_OF_TEXT, PAD, tuple(entries))
    write_index(str(folder), index)
    tokens[: len(tokens) // length * length].tofile(folder / "tokens.bin")
    written = WRITTEN if megabytes >= 10 else WRITTEN // 10
    (folder / "written").write_text(str(written))
    return facts | {"written": written, "samples": index.streams()[STREAM], "shards": len(entries)}


def _byte_tokens(texts: pa.ChunkedArray) -> np.ndarray:
    """uint16 tokens: an end-of-text token before the UTF-8 bytes of each text."""
    parts = [np.frombuffer(text.encode(), np.uint8).astype(np.uint16) for text in texts.to_pylist()]
    head = np.array([END_OF_TEXT], np.uint16)
    return np.concatenate([piece for part in parts for piece in (head, part)])


def _touch(folder: Path) -> None:
    """Every file into the page cache: disks are not what is compared."""
    for path in [*folder.glob("*.tar"), folder / "tokens.bin"]:
        path.read_bytes()


def _headwater(folder: Path) -> Result:
    from headwater.assets.sharding.loader import Loader
    from headwater.assets.sharding.reader import ShardReader
    from headwater.assets.sharding.sampling import Sampler, segment_over

    _touch(folder)
    _load_kernels(folder)
    with measured() as cost:
        reader = ShardReader(folder)
        load = Loader(reader, Sampler(segment_over(reader.index, [], SamplingOptions(), BATCH)), END_OF_TEXT)
        seen = 0
        for step in range(EPOCHS * reader.streams[STREAM] // BATCH):
            seen += _checked(load(step)["tokens"])
    return _rate(cost, seen)


def _load_kernels(folder: Path) -> None:
    """One batch by a reader of its own: loading what is compiled is no part of what is timed, as for all kernels."""
    from headwater.assets.sharding.loader import Loader
    from headwater.assets.sharding.reader import ShardReader
    from headwater.assets.sharding.sampling import Sampler, segment_over

    reader = ShardReader(folder)
    reader.samples(STREAM, np.arange(BATCH))
    Loader(reader, Sampler(segment_over(reader.index, [], SamplingOptions(), BATCH)), END_OF_TEXT)(0)


def _headwater_tokens(folder: Path) -> Result:
    """The same order and the same copies, without what the loader says about each token."""
    from headwater.assets.sharding.reader import ShardReader
    from headwater.assets.sharding.sampling import Sampler, segment_over

    _touch(folder)
    _load_kernels(folder)
    with measured() as cost:
        reader = ShardReader(folder)
        sampler = Sampler(segment_over(reader.index, [], SamplingOptions(), BATCH))
        seen = 0
        for step in range(EPOCHS * reader.streams[STREAM] // BATCH):
            tokens = reader.samples(STREAM, sampler.samples_at(step)[1])
            seen += _checked(torch.from_numpy(tokens.astype(np.int64)))
    return _rate(cost, seen)


def _webdataset(folder: Path) -> Result:
    import webdataset

    _touch(folder)
    files = sorted(map(str, folder.glob("*.tar")))
    buffer = SamplingOptions().window_blocks * SHARDS.block_samples
    with measured() as cost:
        seen = 0
        for epoch in range(EPOCHS):
            blocks = webdataset.WebDataset(files, shardshuffle=len(files), seed=epoch).decode().to_tuple("tokens.npy")
            samples = blocks.compose(_rows).shuffle(buffer, initial=buffer).batched(BATCH, collation_fn=np.stack)
            for batch in samples:
                seen += _checked(torch.from_numpy(batch.astype(np.int64)))
    return _rate(cost, seen)


def _rows(blocks):
    """The samples of each block: a shard's members hold many."""
    for (block,) in blocks:
        yield from block


def _memory_map(folder: Path) -> Result:
    _touch(folder)
    rows = np.memmap(folder / "tokens.bin", np.uint16, mode="r").reshape(-1, SHARDS.sequence_length)
    orders = [np.random.default_rng(epoch).permutation(len(rows)) for epoch in range(EPOCHS)]
    with measured() as cost:
        seen = 0
        for order in orders:
            for first in range(0, len(order), BATCH):
                seen += _checked(torch.from_numpy(rows[order[first : first + BATCH]].astype(np.int64)))
    return _rate(cost, seen)


def _written_tokens(facts_of: Path) -> np.ndarray:
    """(samples, length) tokens to write, drawn at random."""
    samples = int((facts_of / "written").read_text())
    return np.random.default_rng(0).integers(0, 1 << 14, (samples, SHARDS.sequence_length), dtype=np.uint16)


def _write_headwater(folder: Path) -> Result:
    tokens, length, block = _written_tokens(folder), SHARDS.sequence_length, SHARDS.block_samples
    target = _fresh(folder)
    with measured() as cost:
        entries = []
        for plan in plan_shards(tokens.size, length, block, ShardsOptions().shard_samples(tokens.itemsize)):
            chunks = [tokens.reshape(-1)[plan.token_start : plan.token_stop]]
            entries.append(write_shard(str(target), STREAM, plan.number, pack_blocks(chunks, plan, length, block, PAD)))
        write_index(str(target), ShardIndex(length, block, tokens.dtype.name, END_OF_TEXT, PAD, tuple(entries)))
    return _wrote(cost, target)


def _write_webdataset(folder: Path) -> Result:
    import webdataset

    tokens, target = _written_tokens(folder), _fresh(folder)
    with measured() as cost, webdataset.ShardWriter(f"{target}/%06d.tar", maxsize=64e6, verbose=0) as sink:
        for number, row in enumerate(tokens):
            sink.write({"__key__": f"{number:08d}", "tokens.npy": row})
    return _wrote(cost, target)


def _write_numpy(folder: Path) -> Result:
    tokens, target = _written_tokens(folder), _fresh(folder)
    with measured() as cost:
        tokens.tofile(target / "tokens.bin")
    return _wrote(cost, target)


def _fresh(folder: Path) -> Path:
    target = folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    return target


def _wrote(cost: Result, target: Path) -> Result:
    size = sum(path.stat().st_size for path in target.iterdir())
    shutil.rmtree(target)
    return cost | {"megabytes": size / 1e6}


def _checked(tokens: torch.Tensor) -> int:
    if tokens.dtype != torch.int64 or tokens.shape[1] != SHARDS.sequence_length:
        raise AssertionError(f"a batch of {tokens.dtype} {tuple(tokens.shape)} is not what is compared")
    return len(tokens)


def _rate(cost: Result, seen: int) -> Result:
    return cost | {"samples": seen, "rate": seen / cost["cpu"]}


PEERS = {
    "headwater": Peer("headwater's loader (with segments, mask, names)", _headwater),
    "tokens": Peer("headwater's order and reader (tokens only)", _headwater_tokens),
    "webdataset": Peer("webdataset (tokens only)", _webdataset, "webdataset"),
    "memory_map": Peer("memory map, order drawn beforehand (tokens only)", _memory_map),
}
WRITERS = {
    "write_headwater": Peer("headwater: packed, hashed, indexed", _write_headwater),
    "write_webdataset": Peer("webdataset, a member for each sample", _write_webdataset, "webdataset"),
    "write_numpy": Peer("numpy, one array", _write_numpy),
}


def _report(facts: Result, results: dict[str, list[Result]]) -> str:
    own = median(results["headwater"], "rate")

    def cells(key: str, runs: list[Result]) -> list[str]:
        rate = median(runs, "rate")
        return [f"{rate:,.0f}", times(rate, own), f"{runs[0]['samples']:,}"]

    header = ["samples per CPU s", "headwater = 1", "samples read"]
    return (
        f"{told(facts)} {facts['samples']:,} samples of {SHARDS.sequence_length:,} tokens in {facts['shards']} tars, "
        f"{EPOCHS} epochs in batches of {BATCH}, files in memory; blocks of {SHARDS.block_samples} samples a member."
        f"\n\n{comparison(PEERS, results, header, cells)}\n\n### Writing shards\n\n{facts['written']:,} samples of "
        f"{SHARDS.sequence_length:,} tokens.\n\n{_writing(results)}"
    )


def _writing(results: dict[str, list[Result]]) -> str:
    own = median(results["write_headwater"], "cpu")

    def cells(_: str, runs: list[Result]) -> list[str]:
        cpu = median(runs, "cpu")
        return [f"{cpu:.2f}", times(cpu, own), f"{runs[0]['megabytes']:,.0f}"]

    return comparison(WRITERS, results, ["CPU s", "headwater = 1", "MB on disk"], cells)


def _headlines(facts: Result, results: dict[str, list[Result]]) -> list[Headline]:
    theirs = results["webdataset"]
    peer = {"peer": "webdataset, same tars", "of_peer": median(theirs, "rate")} if theirs else {}
    rows = [Headline("loader, 0 workers", "samples per CPU s", 300_000, median(results["headwater"], "rate"), **peer)]
    if facts["written"] < WRITTEN:
        return rows
    writers = results["write_webdataset"]
    peer = {"peer": "webdataset", "of_peer": median(writers, "cpu")} if writers else {}
    own = median(results["write_headwater"], "cpu")
    return [*rows, Headline("shards, write", "CPU s", GOAL, own, less_is_better=True, **peer)]


if __name__ == "__main__":
    run(Benchmark("bench_shards", "Writing and reading shards", _prepare, PEERS | WRITERS, _report, _headlines))
