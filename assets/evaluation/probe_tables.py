"""What people see of probes: a table of every figure by seed, pictures, and whether what is required was reached.

Apart from the code that measures: an edit here changes no figure.
"""

from collections.abc import Mapping, Sequence

from headwater.assets.evaluation.component import limits_of
from headwater.assets.evaluation.intervals import spread_of
from headwater.assets.evaluation.probe_options import ProbingOptions, RequirementOptions, check_name
from headwater.assets.markdown import markdown_table
from headwater.assets.plots import seed_points, shares_map
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import CheckRecord

Measured = Mapping[str, Mapping[str, float]]  # seed → figure → value


def describe_probes(outcome: Outcome, options: ProbingOptions, measured: Measured, broken: Sequence[str]) -> None:
    """Adds means, the table, a picture for each kind of figure, and the checks."""
    by_figure = figures_of(measured)
    outcome.metrics |= {name: round(spread_of(list(own.values())).mean, 6) for name, own in by_figure.items()}
    outcome.markdown["probes"] = probes_table(measured)
    mapped = _maps(outcome, options, by_figure)
    by_kind = {name: own for name, own in by_figure.items() if name not in mapped}
    for kind in dict.fromkeys(name.rpartition("/")[2] for name in by_kind):
        rows = {name: list(own.values()) for name, own in by_kind.items() if name.rpartition("/")[2] == kind}
        spreads = {name: spread_of(values) for name, values in rows.items()}
        intervals = {n: None if s.low is None or s.high is None else (s.low, s.high) for n, s in spreads.items()}
        outcome.plots[kind.capitalize()] = seed_points(rows, intervals, kind)
    outcome.checks = [_finite(measured, broken), *(_required(options, figure, by_figure) for figure in options.require)]


def _maps(outcome: Outcome, options: ProbingOptions, by_figure: Mapping[str, Mapping[str, float]]) -> set[str]:
    """Adds the picture and the table of each map of the probes, means over seeds; returns the figures in them."""
    found: set[str] = set()
    for name, probe in options.probes.items():
        for one in probe.maps():
            cells = [[f"{name}/{figure}" for figure in row] for row in one.figures]
            own = [[list(by_figure.get(figure, {}).values()) for figure in row] for row in cells]
            means = [[spread_of(values).mean if values else float("nan") for values in row] for row in own]
            title = f"{name} {one.title}".capitalize()
            outcome.plots[title] = shares_map(one.columns, one.rows, means, title, one.across, one.up)
            header = [f"{one.up}, by {one.across}", *one.columns]
            table = [[label, *(f"{share:.2f}" for share in row)] for label, row in zip(one.rows, means, strict=True)]
            outcome.markdown[title] = markdown_table(header, table, left=1)
            found |= {figure for row in cells for figure in row}
    return found


def figures_of(measured: Measured) -> dict[str, dict[str, float]]:
    """Figure → seed → value, in the order in which figures are met."""
    names = dict.fromkeys(name for own in measured.values() for name in own)
    return {name: {seed: own[name] for seed, own in measured.items() if name in own} for name in names}


def probes_table(measured: Measured) -> str:
    """One line for each figure: its value for every seed, mean and standard deviation."""
    header = ["figure", *(f"seed {seed}" for seed in measured), "mean", "sd"]
    rows = []
    for name, own in figures_of(measured).items():
        spread = spread_of(list(own.values()))
        values = [f"{own[seed]:.4f}" if seed in own else "–" for seed in measured]
        rows.append(
            [name, *values, f"{spread.mean:.4f}", "–" if spread.deviation is None else f"{spread.deviation:.4f}"]
        )
    return markdown_table(header, rows, left=1)


def _finite(measured: Measured, broken: Sequence[str]) -> CheckRecord:
    count = sum(len(own) for own in measured.values())
    text = f"no finite number: {', '.join(broken)}" if broken else f"all {count} figures are finite"
    return CheckRecord(name="finite", passed=not broken and count > 0, blocking=True, description=text)


def _required(options: ProbingOptions, figure: str, by_figure: Mapping[str, Mapping[str, float]]) -> CheckRecord:
    """A figure that could not be measured never passes."""
    required, own = options.require[figure], by_figure.get(figure, {})
    missed = {seed: value for seed, value in own.items() if not _within(value, required)}
    told = ", ".join(f"{value:.4f} with seed {seed}" for seed, value in (missed or own).items())
    known = "" if own else f"; the figures are {', '.join(by_figure) or 'none'}"
    return CheckRecord(
        name=check_name(figure),
        passed=bool(own) and not missed,
        blocking=required.block,
        description=f"{figure} must be {limits_of(options, figure)}: {told or 'not measured'}{known}",
    )


def _within(value: float, required: RequirementOptions) -> bool:
    low, high = required.at_least, required.at_most
    return (low is None or value >= low) and (high is None or value <= high)
