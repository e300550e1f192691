"""How answers of lineage look on a terminal: one line for each station, names to the left, facts to the right."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headwater.assets.lineage.checkpoint import DIMENSIONS, CheckpointFacts, Count, Made
from headwater.assets.lineage.diff import DataChange, Difference
from headwater.assets.lineage.passage import Decision, Duplicate
from headwater.assets.lineage.steps import StepTrace
from headwater.assets.lineage.story import Learned, Measured, Story
from headwater.assets.lineage.text import Occurrence, TextSearch
from headwater.assets.storage.indexes import TextIndex

_STEPS_SHOWN = 24
_ROWS_SHOWN = 12


def print_stories(stories: Sequence[Story]) -> None:
    """Prints the way of each document from its source to the evaluations of the checkpoints that saw it."""
    for number, story in enumerate(stories):
        print("\n" if number else "", end="")
        _print_story(story)


def _print_story(story: Story) -> None:
    console, row = Console(highlight=False), story.sighting.row
    table = _facts()
    past = "" if story.sighting.current else f"  [yellow]no longer in {story.sighting.raw.asset}[/]"
    table.add_row("document", f"[bold]{story.sighting.doc_id}[/] of {story.sighting.corpus}{past}")
    table.add_row("source", f"{escape(row['source'])}: {escape(row['uri'])}")
    for name in ("url", "license", "date", "group", "meta"):
        if row.get(name):
            table.add_row(name, escape(str(row[name])))
    table.add_row("size", f"{row['bytes']:,} bytes of {row['format']}, {row['split'].replace('_', ' ')}")
    if not row["kept"]:
        table.add_row("not read", _reason(row["rule"], row["value"], row["threshold"], row["detail"]))
    if story.passage.signals:
        table.add_row("signals", _signals(story.passage.signals))
    for decision in story.passage.decisions:
        table.add_row(decision.asset.split("/")[1], _decision(decision))
    for title, lines in (("resembles", [_duplicate(duplicate) for duplicate in story.passage.duplicates]),):
        for line in _first(lines):
            table.add_row(title, line)
            title = ""
    console.print(table)
    for learned in story.learned:
        console.print()
        console.print(_learned(learned))
    if not story.learned:
        console.print("\nNo checkpoint is in the store.")


def _learned(learned: Learned) -> Table:
    table = _facts()
    table.add_row("checkpoint", f"[bold]{learned.checkpoint}[/]{'' if learned.current else ' [dim](not current)[/]'}")
    trace = learned.trace
    if trace is None:
        table.add_row("tokens", f"none. {escape(learned.absent or '')}")
    else:
        for segment in trace.segments:
            of = f"  [dim]in shards {segment.shards[:8]}[/]" if len(trace.segments) > 1 else ""
            stop = segment.start + segment.length
            table.add_row("tokens", f"{segment.start:,} to {stop - 1:,} of {segment.stream}{of}")
            samples = f"{segment.samples.start:,} to {segment.samples.stop - 1:,}"
            table.add_row("samples", samples if len(segment.samples) > 1 else f"{segment.samples.start:,}")
            table.add_row("steps", _steps(segment.steps, segment.stream))
        for title, lines in (("shards", _places(learned)),):
            for line in _first(lines, 4):
                table.add_row(title, line)
                title = ""
    for influence in learned.influences:
        sure = "" if influence.certain else " [dim](may have)[/]"
        table.add_row("influence", f"{influence.asset}: {influence.how}{sure}")
    for measured in learned.evaluations:
        table.add_row("evaluation", _measured(measured))
    return table


def _places(learned: Learned) -> list[str]:
    if learned.places_missing:
        return [escape(learned.places_missing)]
    return [f"{p.file}, bytes {p.byte:,} to {p.byte + p.bytes - 1:,}, block {p.block}" for p in learned.places]


def _steps(steps: Sequence[int], stream: str) -> str:
    if not steps:
        held_out = stream.endswith("-held_out")
        return "none: it is held out, no step reads it" if held_out else "none: training ended before its turn came"
    shown = ", ".join(map(str, steps[:_STEPS_SHOWN]))
    return shown if len(steps) <= _STEPS_SHOWN else f"{shown} … {steps[-1]} ({len(steps):,} steps)"


def _signals(signals: dict[str, Any]) -> str:
    measured = {name: value for name, value in signals.items() if value is not None}
    return escape(", ".join(f"{name} {_number(value)}" for name, value in measured.items()))


def _decision(decision: Decision) -> str:
    when = "" if decision.current else f"  [dim]in version {decision.version[:8]}[/]"
    if decision.kept:
        return f"[green]kept[/]{when}"
    if not decision.reached:
        return f"[dim]not reached: {decision.dropped_by} dropped it[/]{when}"
    return f"[red]dropped[/] by {_reason(decision.rule, decision.value, decision.threshold, decision.detail)}{when}"


def _reason(rule: str | None, value: float | None, threshold: float | None, detail: str | None) -> str:
    if rule == "withdrawn" and detail:
        return f"[bold]withdrawn[/]: {escape(detail)}"
    measured = "" if value is None else f": {_number(value)}"
    against = "" if threshold is None else f", threshold {_number(threshold)}"
    return f"[bold]{escape(rule or 'no rule')}[/]{measured}{against}{f' ({escape(detail)})' if detail else ''}"


def _duplicate(duplicate: Duplicate) -> str:
    place = escape(duplicate.other_uri or duplicate.other_id)
    order = {True: "the earlier", False: "the later", None: f"through {(duplicate.through or '')[:8]}"}[
        duplicate.earlier
    ]
    fate = {True: "kept", False: "dropped", None: "gone"}[duplicate.other_kept]
    if duplicate.kind == "exact":
        return f"{place}: the same words, {order}, {fate}"
    figures = f"similarity {duplicate.similarity:.3f}, containment {duplicate.containment:.3f}"
    if duplicate.foreign is None:
        return f"{place}: {figures}, {duplicate.shared:,} shingles shared, {order}, {fate}"
    figures += f", largest block of its own {duplicate.foreign:.3f}"
    return f"{place}: {figures}, {duplicate.shared:,} words correspond, {order}, {fate}"


def _measured(measured: Measured) -> str:
    main = {name: value for name, value in measured.figures.items() if "/" not in name}
    shown = ", ".join(f"{name} {_number(value)}" for name, value in list(main.items())[:4])
    failed = f" [red]failed: {', '.join(measured.failed_checks)}[/]" if measured.failed_checks else ""
    return f"{measured.asset}: {shown}{failed}"


def print_step(found: StepTrace) -> None:
    """Prints the documents of a training step, sample by sample."""
    console = Console(highlight=False)
    console.print(
        f"[bold]{found.checkpoint}[/] step {found.step:,}: {found.batch_size} samples of shards {found.shards}, "
        f"{len(found.doc_ids):,} documents"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("place", "sample", "document", "tokens", "address"):
        table.add_column(name, justify="right" if name == "place" else "left", overflow="fold")
    for sample in found.samples:
        place, name = str(sample.place), f"{sample.stream} {sample.sample:,}"
        if not sample.parts:
            table.add_row(place, name, "[dim]withdrawn or padding[/]")
        for part in sample.parts:
            table.add_row(place, name, part.doc_id, f"{part.first:,} to {part.stop - 1:,}", escape(part.uri or ""))
            place = name = ""
    console.print(table)


def print_checkpoint(facts: CheckpointFacts) -> None:
    """Prints what a checkpoint is made of."""
    console = Console(highlight=False)
    own, table = facts.made[0], _facts()
    standing = "" if facts.current else " (not current)"
    table.add_row("checkpoint", f"[bold]{facts.checkpoint}[/] of {facts.pipeline}{standing}")
    table.add_row("identity", facts.version)
    table.add_row("content", own.content + (f", grown from {facts.base}" if facts.base else ""))
    table.add_row("trained", f"{facts.steps:,} steps, seeds {', '.join(map(str, facts.seeds))}")
    for line in _execution(own):
        table.add_row(*line)
    for check in facts.checks:
        table.add_row("check", f"{'[green]✓[/]' if check['passed'] else '[red]✗[/]'} {escape(check['description'])}")
    for measured in facts.evaluations:
        table.add_row("evaluation", _measured(measured))
    for name in facts.influences:
        table.add_row("influence", f"{name}: what was fitted or trained before, and shaped this")
    console.print(table)
    console.print("\n[bold]Made from[/]")
    console.print(_made_table(facts.made))
    console.print("\n[bold]Segments[/]")
    console.print(_segments_table(facts))
    for dimension in DIMENSIONS:
        counts = [count for count in facts.counts if count.dimension == dimension]
        if not all(count.value == "unknown" for count in counts):
            console.print(f"\n[bold]By {dimension}[/]")
            console.print(_counts_table(dimension, counts))
    console.print("\n[bold]Dropped[/]")
    lines = [[d.corpus, d.stage, d.rule, f"{d.documents:,}"] for d in facts.dropped]
    console.print(_table(["corpus", "by", "rule", "documents"], lines) if lines else "nothing")


def _execution(made: Made) -> list[tuple[str, str]]:
    run, code = made.execution, made.code
    commit = (
        f"{run['git_commit'][:10]}{' with changes' if run['git_dirty'] else ''}" if run["git_commit"] else "unknown"
    )
    libraries = ", ".join(f"{name} {version}" for name, version in code["libraries"].items()) or "none named"
    return [
        ("made", f"{run['started']}, {run['seconds']:,.1f} s, {run['engine']} × {run['workers']}, {run['processor']}"),
        ("code", f"step {code['number']}, modules {code['modules']}, git {commit}, headwater {run['headwater']}"),
        ("libraries", f"{libraries}, python {run['python']}"),
        ("lock", run["lock"] or "no constraints.txt in the workspace"),
    ]


def _made_table(made: Sequence[Made]) -> Table:
    rows = []
    for item in made[1:]:
        state = "" if item.current else "past"
        state += f" inputs gone: {', '.join(item.missing)}" if item.missing else ""
        rows.append([item.asset, item.version[:8], item.content[:8], item.execution["started"][:16], state])
    return _table(["asset", "identity", "content", "when", ""], rows)


def _segments_table(facts: CheckpointFacts) -> Table:
    rows = []
    for segment in facts.segments:
        drawn = ", ".join(
            f"{s['stream']} {s['first']:,} to {s['first'] + s['samples'] - 1:,} × {s['weight']:g}"
            for s in segment.streams
        )
        size = f"{segment.batch_size} × {segment.sequence_length}"
        rows.append([f"{segment.first_step:,} to {segment.stop_step - 1:,}", segment.shards, size, drawn])
    return _table(["steps", "shards", "batch × tokens", "streams: samples × weight"], rows)


def _counts_table(dimension: str, counts: Sequence[Count]) -> Table:
    header = [dimension, "documents", "tokens", "MB", "documents seen", "tokens seen"]
    rows = [
        [escape(c.value), *(f"{n:,}" for n in (c.documents, c.tokens)), f"{c.bytes / 1e6:,.2f}"]
        + [f"{n:,}" for n in (c.documents_seen, c.tokens_seen)]
        for c in counts
    ]
    return _table(header, rows)


def print_difference(found: Difference) -> None:
    """Prints how two checkpoints differ."""
    console = Console(highlight=False)
    console.print(f"[bold]{found.first}[/] → [bold]{found.second}[/]")
    if found.nothing:
        console.print("The same documents, options and code.")
    console.print("\n[bold]Data[/] that steps saw")
    console.print(_data_table(found.data))
    for line in _examples(found.data):
        console.print(line, soft_wrap=True)
    for title, changes in (("Options", found.options), ("Code", found.code), ("Figures", found.metrics)):
        console.print(f"\n[bold]{title}[/]")
        rows = [[c.asset, c.path, f"{_number(c.old)} → {_number(c.new)}"] for c in changes]
        console.print(_table(["of", "name", "was → is"], rows) if rows else "no difference")


def _data_table(data: Iterable[DataChange]) -> Table:
    rows = [[escape(d.source), d.change, f"{d.documents:,}", f"{d.tokens:,}"] for d in data]
    return _table(["source", "change", "documents", "tokens"], rows)


def _examples(data: Iterable[DataChange]) -> list[str]:
    signs = {"added": "[green]+[/]", "removed": "[red]-[/]", "changed": "[yellow]~[/]", "moved": "[dim]>[/]"}
    return [
        f"  {signs[change.change]} {escape(example.uri or '')} [dim]{example.doc_id}[/]"
        for change in data
        for example in change.examples
    ]


def print_occurrences(found: TextSearch, show: int) -> None:
    """Prints where a text stands."""
    console = Console(highlight=False)
    documents, of = len(found.found), f" of {found.checkpoint}" if found.checkpoint else ""
    times = f"[bold]{found.occurrences:,}[/] occurrence{_s(found.occurrences)}"
    console.print(f"{times} in {documents:,} document{_s(documents)}{of}, {found.trained:,} of them kept for training")
    if show and found.found:
        console.print(
            _table(
                ["corpus", "document", "times", "at character", "what became of it", "address"],
                _found(found.found[:show]),
            )
        )
    if documents > show:
        console.print(f"[dim]… and {documents - show:,} more: --show, or --json for all[/]")
    for one in found.searched:
        how = "with its index" if one.scanned == 0 else f"{one.scanned:,} of them without an index"
        hint = f": headwater index text {one.corpus}" if one.scanned and one.seconds > 1 else ""
        console.print(f"[dim]{one.corpus}: {one.documents:,} documents in {one.seconds:.3f} s, {how}{hint}[/]")


def _found(occurrences: Iterable[Occurrence]) -> list[list[str]]:
    rows = []
    for one in occurrences:
        places = ", ".join(f"{place:,}" for place in one.positions[:4]) + (" …" if one.count > 4 else "")
        rows.append([one.corpus, one.doc_id, f"{one.count:,}", places, one.fate, escape(one.uri or "")])
    return rows


def print_text_index(corpus: str, built: TextIndex) -> None:
    """Prints what an index took and takes."""
    Console(highlight=False).print(
        f"{corpus}: {built.rows:,} documents indexed in {built.seconds:.1f} s, {built.bytes / 1e6:,.1f} MB"
    )


def _facts() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in header:
        numeric = name in ("documents", "tokens", "MB", "documents seen", "tokens seen", "times")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _first(lines: Sequence[str], shown: int = _ROWS_SHOWN) -> list[str]:
    return list(lines) if len(lines) <= shown else [*lines[:shown], f"… and {len(lines) - shown:,} more"]


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return escape(str(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"
