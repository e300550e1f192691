"""What a training tells while it runs: one line per step in a file, and the trackers that were asked for.

The file is cut back to the step at which a run resumes, so that no step stands in it twice.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headwater.models.trainer.reports import StepReport

CURVE = "curve.jsonl"
_SCALARS = ("loss", "learning_rate", "gradient_norm")


class TrackingError(Exception):
    """A tracker was asked for that is not installed."""


class Curve:
    """Appends step reports to ``curve.jsonl`` and to trackers; resumes by forgetting steps that will be made again.

    A training that goes on from another's state begins with the steps that led there, read from the folder ``before``.
    """

    def __init__(
        self,
        folder: Path,
        from_step: int,
        trackers: Sequence[str] = (),
        run_name: str = "",
        before: Path | None = None,
    ) -> None:
        self.path = folder / CURVE
        known = read_curve(folder) or (read_curve(before) if before else [])
        kept = [line for line in known if line["step"] < from_step]
        temporary = self.path.with_suffix(".part")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(self.path)
        self._file = self.path.open("a", buffering=1)
        self._trackers = [_tracker(name, folder, from_step, run_name) for name in trackers]

    def add(self, report: StepReport) -> None:
        """Notes a step."""
        self._file.write(json.dumps(report._asdict()) + "\n")
        for tracker in self._trackers:
            tracker.add(report)

    def close(self) -> None:
        """Flushes everything."""
        self._file.close()
        for tracker in self._trackers:
            tracker.close()


class _TensorBoard:
    def __init__(self, folder: Path, from_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=from_step, flush_secs=10)

    def add(self, report: StepReport) -> None:
        for name in _SCALARS:
            self._writer.add_scalar(name, getattr(report, name), report.step)
        self._writer.add_scalar("tokens_per_second", report.tokens / max(report.seconds, 1e-9), report.step)

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    def __init__(self, run_name: str) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise TrackingError(
                "tracking: mlflow needs the package mlflow. Install the extra: pip install 'headwater[mlflow]'"
            ) from error
        self._mlflow: Any = mlflow
        self._run = mlflow.start_run(run_name=run_name, nested=True)

    def add(self, report: StepReport) -> None:
        values = {name: getattr(report, name) for name in _SCALARS}
        self._mlflow.log_metrics(values, step=report.step, run_id=self._run.info.run_id)

    def close(self) -> None:
        self._mlflow.end_run()


def _tracker(name: str, folder: Path, from_step: int, run_name: str) -> _TensorBoard | _MLflow:
    return _TensorBoard(folder, from_step) if name == "tensorboard" else _MLflow(run_name)


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """The steps noted so far; a line cut short by a kill is left out."""
    path = folder / CURVE
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found
