"""The verdicts on a checkpoint: which there will be is known from the options alone, so that they can be declared
before anything runs; how they came out follows from the report.

A figure that could not be measured never passes.
"""

from typing import NamedTuple

from headwater.assets.evaluation.options import AnyBaseline, ClozeOptions, EvaluationOptions
from headwater.assets.evaluation.report import CheckOutcome, ClozeResult, Report, SourceResult


class CheckDeclaration(NamedTuple):
    """A verdict there will be; `blocking` stops what is downstream when it does not pass."""

    name: str
    blocking: bool
    description: str


def declared_checks(options: EvaluationOptions) -> list[CheckDeclaration]:
    """Return the checks that an evaluation with these options gives, in the order of `check_outcomes`."""
    checks = [CheckDeclaration("finite", True, "Every held-out document has a finite cost.")]
    for baseline in options.baselines:
        if baseline.check != "show":
            margin = f" by {baseline.margin:g}" if baseline.margin else ""
            text = f"The model needs fewer bits per byte than {baseline.kind} on the same documents{margin}."
            checks.append(CheckDeclaration(f"beats_{baseline.kind}", baseline.check == "block", text))
    if options.bits_per_byte.limit is not None:
        text = f"At most {options.bits_per_byte.limit:g} bits per byte over all sources."
        checks.append(CheckDeclaration("bits_per_byte_limit", True, text))
    if options.cloze is not None and options.cloze.check != "show":
        text = "The interval of the cloze accuracy lies above chance."
        checks.append(CheckDeclaration("cloze_above_chance", options.cloze.check == "block", text))
    return checks


def check_outcomes(report: Report, options: EvaluationOptions) -> list[CheckOutcome]:
    """Return how each declared check came out. `report.checks` is not read."""
    outcomes = [_finite(report)]
    outcomes += [_beats(report, baseline) for baseline in options.baselines if baseline.check != "show"]
    if options.bits_per_byte.limit is not None:
        outcomes.append(_limit(report.overall, options.bits_per_byte.limit))
    if options.cloze is not None and options.cloze.check != "show":
        outcomes.append(_cloze(report.cloze, options.cloze))
    return outcomes


def _finite(report: Report) -> CheckOutcome:
    count = len(report.not_finite)
    shown = ", ".join(report.not_finite[:5])
    if count:
        text = f"{count} of {report.overall.documents} documents have no finite cost: {shown}"
    elif report.overall.documents == 0:
        text = "no held-out document was measured: hold out a larger share, or raise max_megabytes_per_source"
    else:
        text = f"all {report.overall.documents} documents have a finite cost"
    passed = count == 0 and report.overall.documents > 0
    metadata = {"documents": report.overall.documents, "not_finite": count, "first": shown or None}
    return CheckOutcome(name="finite", passed=passed, blocking=True, description=text, metadata=metadata)


def _beats(report: Report, baseline: AnyBaseline) -> CheckOutcome:
    name = baseline.kind
    model = report.overall.bits_per_byte
    yardstick = report.overall.baseline(name)
    other = None if yardstick is None else yardstick.bits_per_byte
    saved = None if model is None or other is None else other - model
    passed = saved is not None and saved > 0 and saved >= baseline.margin
    verb = "beats" if passed else "does not beat"
    margin = f" by {baseline.margin:g}" if baseline.margin else ""
    interval = report.gains.get(name)
    return CheckOutcome(
        name=f"beats_{name}",
        passed=passed,
        blocking=baseline.check == "block",
        description=f"{_figure(model)} bits per byte {verb} {name}'s {_figure(other)}{margin}",
        metadata={
            "model": model,
            name: other,
            "saved": saved,
            "saved_low": None if interval is None else interval.low,
            "saved_high": None if interval is None else interval.high,
            "sources_behind": ", ".join(_behind(report, name)) or None,
        },
    )


def _behind(report: Report, name: str) -> list[str]:
    """Return the sources on which the baseline is at least as good."""
    behind = []
    for result in report.sources:
        yardstick = result.baseline(name)
        if yardstick is None or yardstick.bits_per_byte is None or result.bits_per_byte is None:
            continue
        if result.bits_per_byte >= yardstick.bits_per_byte:
            behind.append(result.source)
    return behind


def _limit(overall: SourceResult, limit: float) -> CheckOutcome:
    value = overall.bits_per_byte
    return CheckOutcome(
        name="bits_per_byte_limit",
        passed=value is not None and value <= limit,
        blocking=True,
        description=f"{_figure(value)} bits per byte, at most {limit:g} allowed",
        metadata={"bits_per_byte": value, "limit": limit},
    )


def _cloze(result: ClozeResult | None, options: ClozeOptions) -> CheckOutcome:
    items, blocking = 0 if result is None else result.items, options.check == "block"
    if result is None or not result.enough:
        text = (
            f"{items} of {options.items} questions could be built, {options.min_items} are needed for a verdict: hold "
            "out more documents or ask for shorter passages"
        )
        return CheckOutcome(
            name="cloze_above_chance", passed=False, blocking=blocking, description=text, metadata={"items": items}
        )
    low, high = result.interval.low, result.interval.high
    return CheckOutcome(
        name="cloze_above_chance",
        passed=low > result.chance,
        blocking=blocking,
        description=f"{result.correct} of {items} right ({low:.1%} to {high:.1%}); chance is {result.chance:.1%}",
        metadata={"accuracy": result.accuracy, "low": low, "high": high, "chance": result.chance, "items": items},
    )


def _figure(value: float | None) -> str:
    return "no finite number of" if value is None else f"{value:.3f}"
