"""`headwater try`: a step's effect on a sample of documents, side by side. Reads the sources; stores nothing.

The sample is drawn by a hash of the file names, so that it is the same each time and not the first files of a listing;
a file's records come in their order.
"""

import hashlib
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headwater.assets.command_line.errors import CommandError
from headwater.assets.command_line.loading import Loaded, load_workspace
from headwater.assets.corpus.declaration import RawOptions
from headwater.assets.corpus.options import sources_by_name
from headwater.assets.corpus.reading import documents_schema, list_files, read_partition
from headwater.assets.curation.options import CurationOptions
from headwater.assets.curation.preview import try_rules
from headwater.assets.deduplication.driver import deduplicate
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.summary import example_pair
from headwater.assets.schemas import RAW_LEDGER
from headwater.assets.stages import Stage

EXCERPT = 400


def print_trial(corpus: str, step: str, sample: int, show: int) -> None:
    """Shows what a step does to a sample.

    Raises:
        CommandError: no such corpus or step, or the sources give no document.
    """
    steps: dict[str, Callable[[Loaded, str, pa.Table, pa.Table, int], None]] = {
        "signals": _try_signals,
        "curated": _try_curated,
        "deduplicated": _try_deduplicated,
        "tokens": _try_tokens,
    }
    if step not in steps:
        raise CommandError(f"There is no step '{step}' to try. There are: {', '.join(steps)}.")
    loaded = load_workspace()
    name = _corpus(loaded, corpus)
    documents, ledger = _sample(loaded, name, sample)
    if documents.num_rows == 0:
        raise CommandError(f"The sources of {name} give no readable document.")
    steps[step](loaded, name, documents, ledger, show)


def _corpus(loaded: Loaded, name: str) -> str:
    found = sorted({s.name for s in loaded.select(name) if s.kind == "Corpus"})
    if len(found) != 1:
        raise CommandError(f"'{name}' has {len(found)} corpora{': ' + ', '.join(found) if found else ''}; name one.")
    return found[0]


def _stage(loaded: Loaded, corpus: str, stage: str) -> Stage:
    return next(s for s in loaded.stages if s.asset == f"{corpus}/{stage}")


def _sample(loaded: Loaded, corpus: str, size: int) -> tuple[pa.Table, pa.Table]:
    options: RawOptions = _stage(loaded, corpus, "raw").options  # type: ignore[assignment]
    files = [file for source in options.sources for file in list_files(source, loaded.workspace.root)]
    files.sort(key=lambda file: hashlib.blake2b(f"{file.source}/{file.uri}".encode()).digest())
    texts, ledgers = [], []
    left = size
    for file in files:
        for documents, ledger in read_partition(
            sources_by_name(options.sources), [file], options.held_out, options.limits, batch_bytes=1_000_000
        ):
            readable = pa.Table.from_batches([ledger]).filter(ledger["kept"]).slice(0, left)
            texts.append(pa.Table.from_batches([documents]).slice(0, left))
            ledgers.append(readable)
            left -= readable.num_rows
            if left <= 0:
                break
        if left <= 0:
            break
    return (
        pa.concat_tables([documents_schema(options.sources).empty_table(), *texts]).combine_chunks(),
        pa.concat_tables([RAW_LEDGER.empty_table(), *ledgers]).combine_chunks(),
    )


def _side_by_side(left: str, right: str, rows: list[tuple[str, str, str]]) -> None:
    table = Table(show_lines=True, expand=True)
    for column, ratio in (("document", 2), (left, 3), (right, 3)):
        table.add_column(column, ratio=ratio, overflow="fold")
    for row in rows:
        table.add_row(*(escape(_printable(text)) for text in row))
    Console(highlight=False).print(table)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "·" for c in text)


def _preview(loaded: Loaded, corpus: str, documents: pa.Table, ledger: pa.Table) -> pa.Table:
    options: CurationOptions = _stage(loaded, corpus, "curated").options  # type: ignore[assignment]
    return try_rules(documents, ledger, options, EXCERPT)


def _try_signals(loaded: Loaded, corpus: str, documents: pa.Table, ledger: pa.Table, show: int) -> None:
    rows = _preview(loaded, corpus, documents, ledger).to_pylist()
    changed = [row for row in rows if row["changed"]]
    print(f"{len(changed)} of {len(rows)} documents are changed by the transforms.")
    if changed:
        _side_by_side("before", "after", [(r["uri"], r["before"], r["after"]) for r in changed[:show]])


def _try_curated(loaded: Loaded, corpus: str, documents: pa.Table, ledger: pa.Table, show: int) -> None:
    rows = _preview(loaded, corpus, documents, ledger).to_pylist()
    dropped = [row for row in rows if not row["kept"]]
    print(f"{len(rows) - len(dropped)} of {len(rows)} documents are kept.")
    for rule, count in Counter(row["rule"] for row in dropped).most_common():
        print(f"  {count:>5}  {rule}")
    # One document of each rule first: ten drops for one reason teach less than ten reasons.
    first = {row["rule"]: row for row in reversed(dropped)}
    chosen = [*first.values(), *(row for row in dropped if row is not first[row["rule"]])][:show]
    if chosen:
        _side_by_side("text", "why it is dropped", [(r["uri"], r["after"], _why(r)) for r in chosen])


def _why(row: dict[str, object]) -> str:
    measured = "" if row["value"] is None else f"\nvalue {row['value']:.6g}, threshold {row['threshold']:.6g}"
    return f"{row['rule']}{measured}\n{row['detail']}"


def _try_deduplicated(loaded: Loaded, corpus: str, documents: pa.Table, ledger: pa.Table, show: int) -> None:
    kept = _preview(loaded, corpus, documents, ledger)["kept"]
    documents, ledger = documents.filter(kept), ledger.filter(kept)
    options: DeduplicationOptions = _stage(loaded, corpus, "deduplicated").options  # type: ignore[assignment]
    raw: RawOptions = _stage(loaded, corpus, "raw").options  # type: ignore[assignment]
    rank = {source.name: at for at, source in enumerate(raw.sources)}
    found = deduplicate(documents, ledger, options, rank)
    dropped = found.decisions.filter(pa.array([not k for k in found.decisions["kept"].to_pylist()]))
    print(f"{found.decisions.num_rows - dropped.num_rows} of {found.decisions.num_rows} documents are kept.")
    texts = dict(zip(documents["doc_id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    uris = dict(zip(ledger["doc_id"].to_pylist(), ledger["uri"].to_pylist(), strict=True))
    rows = []
    for row in dropped.slice(0, show).to_pylist():
        other = row["detail"]
        score = "" if row["value"] is None else f" ({row['value']:.3f})"
        title = f"{uris[row['doc_id']]}\n{row['rule']}{score} of\n{uris.get(other, other)}"
        rows.append((title, texts[row["doc_id"]][:EXCERPT], texts.get(other, "")[:EXCERPT]))
    if rows:
        _side_by_side("dropped", "kept", rows)
    example = example_pair(found.edges, lambda ids: {i: texts[i] for i in ids}, uris)
    if example is not None:
        print(f"\nThe pair most alike without being equal (similarity {example.similarity:.3f}):\n{example.diff}")


def _try_tokens(loaded: Loaded, corpus: str, documents: pa.Table, ledger: pa.Table, show: int) -> None:
    from headwater.assets.fitting.stage import tokenizer_at

    fits = [s for s in loaded.stages if s.kind == "Fit" and s.inputs.get("corpus") == f"{corpus}/deduplicated"]
    if not fits:
        raise CommandError(f"No Fit is declared on {corpus}.")
    tokenizer = tokenizer_at(loaded.store, loaded.record(fits[0].asset))
    encoded = [tokenizer.encode(text) for text in documents["text"].to_pylist()]
    size = sum(len(text.encode()) for text in documents["text"].to_pylist())
    print(f"{len(encoded)} documents, {size / max(sum(map(len, encoded)), 1):.3f} bytes per token.")
    rows = []
    for uri, text, ids in zip(ledger["uri"].to_pylist(), documents["text"].to_pylist(), encoded, strict=True):
        pieces = "│".join(tokenizer.decode([i]) for i in ids[:100])
        rows.append((uri, text[:EXCERPT], pieces))
    _side_by_side("text", "tokens", rows[:show])
