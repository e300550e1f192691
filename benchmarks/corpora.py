"""The corpora that the benchmarks run on: real files that every machine has, though not the same ones on each.

Both are written as two Arrow files sorted by doc_id, as `corpus` reads them: without dates and with a single source,
that is the order of precedence among duplicates, so that a peer which goes through the rows one by one goes through
them in Headwater's order. Nothing is held out.
"""

import hashlib
import json
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from headwater.assets.corpus.reading import SourceFile

Result = dict[str, Any]

PEER_MEGABYTES = 267.5
PEER_PACKAGES = (
    "stdlib",
    "torch",
    "transformers",
    "ray",
    "dagster",
    "scipy",
    "pandas",
    "sympy",
    "sklearn",
    "matplotlib",
)
_PEER_SUFFIXES = (".py", ".md", ".rst", ".txt")


def prepare_corpus(folder: Path, megabytes: float) -> Result:
    """Headwater's own source `installed_packages`, whole packages up to the cap."""
    from headwater.assets.corpus.options import HeldOut, InstalledPackages, ReadLimits
    from headwater.assets.corpus.reading import list_files, read_partition

    source = InstalledPackages(max_megabytes=megabytes)
    files = list_files(source, folder)
    batches = list(read_partition({source.name: source}, files, HeldOut(share=0), ReadLimits()))
    documents, ledger = (pa.Table.from_batches(part) for part in zip(*batches, strict=True))
    ledger = ledger.filter(ledger["kept"])
    _write_corpus(folder, documents, ledger)
    return _facts(ledger)


def _write_corpus(folder: Path, documents: pa.Table, ledger: pa.Table) -> None:
    for name, table in (("documents", documents), ("ledger", ledger)):
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.sort_by("doc_id").combine_chunks())


def _facts(ledger: pa.Table) -> Result:
    size = pc.sum(ledger["bytes"]).as_py() / 1e6
    return {"documents": len(ledger), "megabytes": size, "packages": len(pc.unique(ledger["group"]))}


def prepare_peer_corpus(folder: Path, megabytes: float = PEER_MEGABYTES) -> Result:
    """The corpus on which the peers were measured: files of 200 B to 1 MB of the standard library and site-packages.

    The standard library and the packages named above come first, then all others, up to 267.5 MB; of these a draw by
    the hash of their names up to `megabytes`. Written as the Arrow files of `prepare_corpus`, with Headwater's own
    ids, and as JSON lines (id, uri, text) in files of about 25 MB in `jsonl/code` and `jsonl/prose`.
    """
    from headwater.assets.corpus.options import HeldOut, ReadLimits, TextFiles
    from headwater.assets.corpus.reading import read_partition

    source = TextFiles(name="peer_corpus", path="*")
    files = _drawn(_peer_files(), megabytes)
    batches = list(read_partition({source.name: source}, files, HeldOut(share=0), ReadLimits()))
    documents, ledger = (pa.Table.from_batches(part) for part in zip(*batches, strict=True))
    _write_corpus(folder, documents, ledger.filter(ledger["kept"]))
    documents, ledger = corpus(folder)
    for form in ("code", "prose"):
        of_form = pc.equal(ledger["format"], form)
        _write_json_lines(folder / "jsonl" / form, documents.filter(of_form), ledger.filter(of_form)["uri"])
    return _facts(ledger)


def _peer_files() -> list["SourceFile"]:
    from headwater.assets.corpus.reading import SourceFile

    paths = sysconfig.get_paths()
    rank = {name: place for place, name in enumerate(PEER_PACKAGES)}
    ranked = []
    for origin, root in (("stdlib", Path(paths["stdlib"])), ("", Path(paths["purelib"]))):
        for path in root.rglob("*"):
            uri = path.relative_to(root).as_posix()
            if path.suffix not in _PEER_SUFFIXES or path.is_symlink() or not path.is_file():
                continue
            if origin and "site-packages" in path.parts:
                continue
            size, group = path.stat().st_size, origin or uri.partition("/")[0]
            if 200 <= size <= 1_000_000:
                uri = f"{origin}/{uri}" if origin else uri
                file = SourceFile("peer_corpus", uri, path.as_uri(), size, "", group=group)
                ranked.append((rank.get(group, len(rank)), uri, file))
    return _fitting([file for *_, file in sorted(ranked, key=lambda entry: entry[:2])], PEER_MEGABYTES)


def _fitting(files: Sequence["SourceFile"], megabytes: float) -> list["SourceFile"]:
    """The files in their order that fit into the budget; one that does not is passed over."""
    left, chosen = megabytes * 1e6, []
    for file in files:
        if file.size <= left:
            left -= file.size
            chosen.append(file)
    return chosen


def _drawn(files: Sequence["SourceFile"], megabytes: float) -> list["SourceFile"]:
    by_hash = sorted(files, key=lambda file: hashlib.blake2b(file.uri.encode(), digest_size=8).digest())
    return sorted(_fitting(by_hash, megabytes), key=lambda file: file.uri)


def _write_json_lines(folder: Path, documents: pa.Table, uris: pa.ChunkedArray, part_bytes: int = 25_000_000) -> None:
    folder.mkdir(parents=True)
    number, size, lines = 0, 0, []
    rows = zip(documents["doc_id"].to_pylist(), uris.to_pylist(), documents["text"].to_pylist(), strict=True)
    for doc_id, uri, text in rows:
        lines.append(json.dumps({"id": doc_id, "uri": uri, "text": text}, ensure_ascii=False) + "\n")
        size += len(text)
        if size >= part_bytes:
            (folder / f"{number:03d}.jsonl").write_text("".join(lines))
            number, size, lines = number + 1, 0, []
    if lines:
        (folder / f"{number:03d}.jsonl").write_text("".join(lines))


def corpus(folder: Path) -> tuple[pa.Table, pa.Table]:
    """(documents, ledger) as `prepare_corpus` left them."""
    tables = []
    for name in ("documents", "ledger"):
        with pa.OSFile(str(folder / f"{name}.arrow"), "rb") as file:
            tables.append(pa.ipc.open_file(file).read_all())
    return tables[0], tables[1]


def told(facts: Result) -> str:
    """The corpus in a sentence."""
    return (
        f"Corpus: {facts['documents']:,} documents, {facts['megabytes']:.1f} MB of text, from {facts['packages']} "
        "packages of this Python."
    )
