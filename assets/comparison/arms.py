"""Reading the arms of a comparison from records alone: figures by seed, budgets, data.

The budget of an arm is that of everything it took to get there: all trainings that are reachable from its checkpoint
through the records' inputs, each counted once, whatever lies between them (a merge, pseudo-labels, a selection).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.assets.comparison.declaration import Metric, weights_of
from headwater.assets.comparison.row import Budget, Trained
from headwater.assets.context import StageError, consumed_record
from headwater.assets.evaluation.probe_options import AFTER
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.training.promotion import current_checkpoint

AGAIN = "Materialize it again."
# Options of an evaluation that say how it measures; the others say of what, or what must hold.
_HOW = ("probes", "views", "train", "test", "bits_per_byte", "cloze")


@dataclass(frozen=True)
class Report:
    """One evaluation of an arm: its figures, and the checkpoint that it measured (None: raw features)."""

    record: Record
    measured: Mapping[str, Mapping[str, float]]
    checkpoint: Record | None
    trainings: Sequence[Record]
    data: Mapping[str, str]  # asset → content version of what it was measured on


@dataclass(frozen=True)
class Arm:
    """An arm's evaluations by short name; "" where there is only one."""

    name: str
    role: str
    reports: Mapping[str, Report]

    @property
    def seeds(self) -> list[str]:
        """The seeds of its reports, in numerical order.

        Raises:
            StageError: its reports have different seeds.
        """
        own = {short: sorted(report.measured, key=int) for short, report in self.reports.items()}
        first = next(iter(own.values()))
        for short, seeds in own.items():
            if seeds != first:
                raise StageError(
                    f"arm '{self.name}': its reports are of different seeds: {short} of {', '.join(seeds)}, "
                    f"{next(iter(own))} of {', '.join(first)}. Train and measure all from the same."
                )
        return first

    @property
    def trainings(self) -> list[Record]:
        """Every training behind the arm, once."""
        return list({r.digest: r for report in self.reports.values() for r in report.trainings}.values())

    @property
    def has_network(self) -> bool:
        """Whether a trained network was measured."""
        return any(report.checkpoint is not None for report in self.reports.values())

    def figure(self, metric: Metric) -> dict[str, float]:
        """The value of each seed.

        Raises:
            StageError: a report lacks the figure, for all seeds or for one.
        """
        weights = weights_of(metric)
        return {
            seed: math.fsum(weight * self._value(figure, seed) for figure, weight in weights.items())
            for seed in self.seeds
        }

    def curve(self, metric: Metric, examples: int) -> dict[int, dict[str, float]]:
        """The figure at the training's milestones and after all its `examples`: examples seen → seed → value.

        Empty for a weighted sum, and where no milestones were measured.
        """
        if not isinstance(metric, str):
            return {}
        report, name = self._where(metric)
        known = {figure for own in report.measured.values() for figure in own if figure.startswith(name + AFTER)}
        if not known:
            return {}
        early = {int(figure.rpartition(AFTER)[2]): figure for figure in known}
        found = {seen: {seed: report.measured[seed][early[seen]] for seed in self.seeds} for seen in sorted(early)}
        return found | {examples: self.figure(metric)}

    def _value(self, figure: str, seed: str) -> float:
        report, name = self._where(figure)
        own = report.measured[seed]
        if name not in own:
            known = ", ".join(sorted({name for figures in report.measured.values() for name in figures}))
            raise StageError(
                f"arm '{self.name}': {report.record.asset} has no figure '{name}' for seed {seed}. Its figures: {known}"
            )
        return float(own[name])

    def _where(self, figure: str) -> tuple[Report, str]:
        if "" in self.reports:
            return self.reports[""], figure
        short, _, rest = figure.partition("/")
        if short not in self.reports:
            raise StageError(
                f"arm '{self.name}': '{figure}' does not begin with the short name of one of its reports: "
                f"{', '.join(self.reports)}"
            )
        return self.reports[short], rest

    def measures(self, metric: Metric) -> dict[str, str]:
        """Figure → hash of how it was measured: the options of the evaluation and of the probe that it comes from."""
        found = {figure: self._where(figure) for figure in weights_of(metric)}
        return {figure: digest_of(_measure(report.record, name)) for figure, (report, name) in found.items()}

    def budget(self) -> Budget:
        """Steps and examples of all trainings behind the arm, and the parameters of the largest network measured."""
        trained = [_trained(record) for record in self.trainings]
        parameters = [_parameters(report) for report in self.reports.values()]
        return Budget(
            steps=sum(each.steps for each in trained),
            examples=sum(each.examples for each in trained),
            parameters=max(parameters),
            trainings=sorted(trained, key=lambda each: each.asset),
        )

    def training_data(self, store: Store) -> list[str]:
        """ "asset content" of everything that trainings behind the arm read, sorted."""
        found = {
            f"{record.asset} {record.content_version}"
            for training in self.trainings
            for record in _inputs(store, training)
            if record.kind == "Shards"
        }
        return sorted(found)


def label_of(metric: Metric) -> str:
    """A metric in words."""
    if isinstance(metric, str):
        return metric
    if isinstance(metric, list):
        return f"mean of {', '.join(metric)}"
    terms = [f"{'-' if factor < 0 else '+'} {_factor(factor)}{figure}" for figure, factor in metric.items()]
    return " ".join(terms).removeprefix("+ ")


def _factor(factor: float) -> str:
    return "" if abs(factor) == 1 else f"{abs(factor):g} "


def open_report(store: Store, record: Record) -> Report:
    """An evaluation's record as an arm needs it.

    Raises:
        StageError: the record has no figures by seed, or a seed of its checkpoint was not measured.
    """
    measured = record.metrics.get("measured")
    if not measured:
        raise StageError(f"{record.asset} says no figures by seed. {AGAIN}")
    checkpoint, trainings = None, []
    if "checkpoint" in record.identity.inputs:
        checkpoint = current_checkpoint(store, consumed_record(store, record, "checkpoint"))
        trainings = [each for each in _behind(store, checkpoint) if is_training(each)]
        for seed in checkpoint.identity.options.get("seeds") or checkpoint.metrics.get("seeds", []):
            if str(seed) not in measured:
                raise StageError(f"{record.asset} lacks seed {seed} of {checkpoint.asset}. {AGAIN}")
    data = {r.asset: r.content_version for r in _inputs(store, record) if r.kind == "Shards"}
    return Report(record, measured, checkpoint, trainings, data)


def is_training(record: Record) -> bool:
    """Whether a record is of something that made optimizer steps."""
    return record.kind in ("Training", "Merge") and "steps" in record.metrics


def _behind(store: Store, record: Record) -> list[Record]:
    """A record and everything that it was made from, each once."""
    found, waiting = {record.digest: record}, [record]
    while waiting:
        for each in _inputs(store, waiting.pop()):
            each = current_checkpoint(store, each) if each.asset.endswith("/current") else each
            if each.digest not in found:
                found[each.digest] = each
                waiting.append(each)
    return list(found.values())


def _inputs(store: Store, record: Record) -> Iterator[Record]:
    assets = record.identity.options.get("_inputs", {})
    for role in record.identity.inputs:
        if role in assets:
            yield consumed_record(store, record, role)


def _trained(record: Record) -> Trained:
    steps = int(record.metrics["steps"])
    batch = record.metrics.get("batch_size", record.identity.options.get("recipe", {}).get("batch_size", 0))
    return Trained(
        asset=record.asset,
        steps=steps,
        examples=int(record.metrics.get("examples", steps * int(batch))),
        parameters=int(record.metrics.get("parameters", 0)),
    )


def _parameters(report: Report) -> int:
    if report.checkpoint is None:
        return 0
    told = report.record.metrics.get("parameters", report.checkpoint.metrics.get("parameters"))
    return int(told if told is not None else max((r.metrics.get("parameters", 0) for r in report.trainings), default=0))


def _measure(record: Record, figure: str) -> dict[str, Any]:
    options = {name: value for name, value in record.identity.options.items() if name in _HOW}
    probes = options.get("probes")
    if isinstance(probes, dict):
        options["probes"] = probes.get(figure.partition("/")[0])
    return options
