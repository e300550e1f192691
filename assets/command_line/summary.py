"""The one-screen summary of a materialized pipeline: from documents in to text out, with one document followed."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headwater.assets.command_line.errors import CommandError
from headwater.assets.command_line.loading import Loaded, load_workspace
from headwater.assets.lineage.trace import a_seen_document
from headwater.assets.stages import Stage
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import read_table

WIDTH = 110


def print_summary(pipeline: str) -> None:
    """Prints what a pipeline's assets came to, as far as it was materialized."""
    loaded = load_workspace()
    stages = loaded.pipeline(pipeline)
    records = [(s, r) for s in stages if (r := loaded.store.place(s.asset).record()) is not None]
    if not records:
        raise CommandError(f"Nothing of {pipeline} is materialized yet: headwater materialize {pipeline}")
    console = Console(width=WIDTH, highlight=False)
    console.rule(f"[bold]{pipeline}[/]")
    often, said = Counter(stage.stage for stage, _ in records), ""
    for stage, record in records:
        lines = list(_describe(loaded, stage, record))
        if lines and often[stage.stage] > 1 and stage.name != said:  # several of a kind: whose line it is
            console.print(f"[dim]{stage.name}[/]")
            said = stage.name
        for line in lines:
            console.print(line, soft_wrap=isinstance(line, str))
    console.rule()
    command = "make ui" if (loaded.workspace.root / "Makefile").exists() else "headwater ui"
    console.print(f"See the graph: [bold]{command}[/], then http://localhost:3000")


def _describe(loaded: Loaded, stage: Stage, record: Record) -> Iterator[str | Table]:
    writers = {
        "raw": _raw,
        "curated": _decisions,
        "deduplicated": _duplicates,
        "tokens": _tokens,
        "shards": _shards,
        "checkpoint": _checkpoint,
        "evaluation": _evaluation,
        "comparison": _comparison,
    }
    if stage.stage in writers:
        yield from writers[stage.stage](loaded.store, record)


def _raw(store: Store, record: Record) -> Iterator[str]:
    m = record.metrics
    left_out = f", {m['left_out']:,} records without a document" if m["left_out"] else ""
    files = "1 file" if m["files"] == 1 else f"{m['files']:,} files"
    held_out = f"{m['held_out_documents']:,} held out"
    yield f"[bold]Documents[/]     {m['documents']:,} in {m['megabytes']:,.1f} MB from {files} ({held_out}){left_out}"


def _decisions(store: Store, record: Record) -> Iterator[str]:
    yield _kept("Curated", record) + _reasons(store, record, "curated")


def _duplicates(store: Store, record: Record) -> Iterator[str]:
    yield _kept("Deduplicated", record) + _reasons(store, record, "deduplicated")
    m = record.metrics
    if "example" in m:
        yield (
            f"              e.g. {escape(_short(m['example'], 88))}\n"
            f"              like {escape(_short(m['example_of'], 72))} (similarity {m['example_similarity']:.3f})"
        )


def _kept(title: str, record: Record) -> str:
    m = record.metrics
    return f"[bold]{title:<14}[/]{m['kept']:,} kept, {m['dropped']:,} dropped"


def _reasons(store: Store, record: Record, stage: str) -> str:
    table = store.place(record.asset).table("decisions")
    rules = read_table(table, record.tables["decisions"].version, ["rule"], f"stage = '{stage}'")["rule"]
    counts = sorted(((c["counts"], c["values"]) for c in rules.value_counts().to_pylist()), key=lambda c: (-c[0], c[1]))
    shown = ", ".join(f"{rule} {count:,}" for count, rule in counts[:3])
    return f": {shown}" if shown else ""


def _tokens(store: Store, record: Record) -> Iterator[str]:
    m = record.metrics
    yield (
        f"[bold]Tokens[/]        {m['training_tokens']:,} to train on, {m['held_out_tokens']:,} held out, "
        f"{m['bytes_per_token']:.2f} bytes each, vocabulary {m['vocabulary_size']:,}"
    )


def _shards(store: Store, record: Record) -> Iterator[str]:
    m = record.metrics
    what = (
        f"{m['examples']:,} examples"
        if "examples" in m
        else f"{m['samples']:,} samples of {m['sequence_length']:,} tokens"
    )
    yield f"[bold]Shards[/]        {m['shards']} tars, {what}"


def _checkpoint(store: Store, record: Record) -> Iterator[str]:
    m, place = record.metrics, store.place(record.asset)
    seed = record.identity.options["seeds"][0]
    tokens, seconds = m[f"tokens_seed_{seed}"], m[f"seconds_seed_{seed}"]
    made, unit = _work(m, tokens)
    yield (
        f"[bold]Trained[/]       {m['parameters']:,} parameters, {m['steps']:,} steps, {made:,} {unit} in "
        f"{seconds:,.0f} s ({made / max(seconds, 1e-9):,.0f} {unit}/s), loss {m['final_loss']:.3f}"
    )
    for file in list(record.plots.values())[:1]:
        yield f"[bold]Loss curve[/]    {_near(f'{place.folder(record.digest)}/{file}')}"
    found = a_seen_document(store, record)
    if found is not None:
        steps = ", ".join(map(str, found.steps[:6])) + (" …" if len(found.steps) > 6 else "")
        samples = f"{found.samples.start}–{found.samples.stop - 1}"
        place_of_it = f"tokens {found.start:,}–{found.start + found.length:,}" if unit == "tokens" else "example"
        yield (
            f"[bold]Lineage[/]       document {found.doc_id} → {place_of_it}"
            f"\n              of {found.stream} → samples {samples} → steps {steps}"
        )


def _work(metrics: dict[str, Any], tokens: int) -> tuple[int, str]:
    """How much a training went through: tokens predicted, or examples seen where it predicts something else."""
    kinds = {one["kind"] for one in metrics.get("objectives", {}).values()}
    if kinds <= {"next_token"} or "batch_size" not in metrics:
        return tokens, "tokens"
    return metrics["steps"] * metrics["batch_size"], "examples"


def _near(path: str) -> str:
    """A path as seen from here, where that is shorter."""
    here = f"{Path.cwd()}/"
    return path.removeprefix(here)


def _evaluation(store: Store, record: Record) -> Iterator[str | Table]:
    m = record.metrics
    if "bits_per_byte" not in m and "measured" in m:
        yield from _probes(record)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("[bold]Bits per byte[/]")
    for name in ("model", "unigram", "gzip", "xz"):
        table.add_column(name, justify="right")
    values = [m.get("bits_per_byte"), *(m.get(f"{name}_bits_per_byte") for name in ("unigram", "gzip", "xz"))]
    table.add_row("held-out text  ", *("–" if value is None else f"{value:.3f}" for value in values))
    yield table
    yield from _check_lines(record)
    yield from _sample(store, record)


def _probes(record: Record) -> Iterator[str]:
    """Each figure's mean, and whether what is required was reached."""
    figures = list(next(iter(record.metrics["measured"].values()), {}))
    for place, name in enumerate(figures):
        values = [own[name] for own in record.metrics["measured"].values() if name in own]
        seeds = f"on average of {len(values)} seeds" if len(values) > 1 else "(1 seed)"
        told = f"{sum(values) / len(values):.4f} {seeds}" if values else "–"
        yield f"{'[bold]Probes[/]        ' if place == 0 else ' ' * 14}{escape(name)} {told}"
    yield from _check_lines(record)


def _comparison(store: Store, record: Record) -> Iterator[str]:
    yield f"[bold]Claim[/]         {record.metrics['verdict']}: {escape(record.metrics['row']['claim'])}"
    yield from _check_lines(record)


def _check_lines(record: Record) -> Iterator[str]:
    for check in record.checks:
        mark = "[green]✓[/]" if check.passed else "[red]✗[/]" if check.blocking else "[yellow]![/]"
        yield f"              {mark} {check.name}: {escape(check.description)}"


def _sample(store: Store, record: Record) -> Iterator[str]:
    from headwater.assets.evaluation.report import Report

    place = store.place(record.asset)
    reports = store.fs.glob(f"{place.folder(record.digest)}/seed_*/report.json")
    text = place.read_text(sorted(reports)[0]) if reports else None
    samples = Report.from_json(text).samples if text else []
    if samples:
        prompt, continuation = samples[0].prompt[-160:], samples[0].continuation[:320]
        yield "[bold]A sample[/] (prompt dimmed)"
        yield f"[dim]{escape(_indented(prompt))}[/]{escape(_indented(continuation, first=False))}"


def _indented(text: str, first: bool = True) -> str:
    clean = "".join(c if c.isprintable() or c == "\n" else "·" for c in text)
    return ("  " if first else "") + clean.replace("\n", "\n  ")


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[-width + 1 :]
