"""The report as Markdown tables, for Dagster's pages and the terminal's summary."""

from collections.abc import Sequence

from headwater.assets.evaluation.report import CheckOutcome, ClozeResult, Interval, Report, SourceResult
from headwater.assets.markdown import markdown_table

_MISSING = "–"


def sources_table(report: Report) -> str:
    """Return one row for each source and one for all: size, the model's bits per byte with its interval, baselines.

    Of a compressor the smaller of its two figures is shown.
    """
    names = [result.name for result in report.overall.baselines]
    header = ["source", "documents", "bytes", "bits per byte", "interval", "perplexity", *names]
    results = report.sources if len(report.sources) == 1 else [*report.sources, report.overall]
    return markdown_table(header, [_source_row(result, names, result is report.overall) for result in results], left=1)


def _source_row(result: SourceResult, names: Sequence[str], overall: bool) -> list[str]:
    yardsticks = [result.baseline(name) for name in names]
    return [
        f"**{result.source}**" if overall else result.source,
        f"{result.documents:,}",
        f"{result.bytes:,}",
        _number(result.bits_per_byte),
        _interval(result.interval),
        _number(result.perplexity, 1),
        *(_number(None if yardstick is None else yardstick.bits_per_byte) for yardstick in yardsticks),
    ]


def compressors_table(report: Report) -> str:
    """Return both figures of each compressor over all sources; empty when no compressor was measured."""
    rows = [
        [result.name, _number(result.per_document), _number(result.stream)]
        for result in report.overall.baselines
        if result.stream is not None
    ]
    return markdown_table(["compressor", "each document alone", "one stream"], rows, left=1) if rows else ""


def checks_table(checks: Sequence[CheckOutcome]) -> str:
    """Return one row for each check: whether it passed, whether it blocks, and why."""
    rows = [
        [check.name, "passed" if check.passed else "**failed**", "yes" if check.blocking else "no", check.description]
        for check in checks
    ]
    return markdown_table(["check", "outcome", "blocks", "finding"], rows, left=4)


def cloze_sentence(result: ClozeResult | None) -> str:
    """Return the cloze's finding in one sentence."""
    if result is None:
        return "Cloze: not asked for."
    built = f"{result.items} of {result.wanted} questions"
    if result.accuracy is None:
        return (
            f"Cloze: no question could be built ({result.too_short} documents too short, "
            f"{result.without_choices} without enough other passages)."
        )
    verdict = "" if result.enough else " Too few for a verdict."
    return (
        f"Cloze: {result.accuracy:.1%} of {built} right, interval {result.interval.low:.1%} to "
        f"{result.interval.high:.1%}, chance {result.chance:.1%}.{verdict}"
    )


def report_markdown(report: Report) -> str:
    """Return the whole report but the samples."""
    parts = [
        sources_table(report),
        compressors_table(report),
        cloze_sentence(report.cloze),
        checks_table(report.checks),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _number(value: float | None, digits: int = 3) -> str:
    return _MISSING if value is None else f"{value:,.{digits}f}"


def _interval(interval: Interval | None) -> str:
    return _MISSING if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
