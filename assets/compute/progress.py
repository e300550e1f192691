"""Progress of long steps: a bar on a terminal, a line now and then in a log, nothing at all when switched off.

A step may report as often as it likes: between two shown states a call costs an addition and a look at the clock. Steps
may be nested; their bars stand below each other in one display. HEADWATER_PROGRESS=bar|plain|off overrides what the
terminal suggests.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, TextIO, get_args

if TYPE_CHECKING:  # rich is loaded with the first bar, so that logs and workers never pay for it
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Mode = Literal["bar", "plain", "off"]

_BAR_INTERVAL = 0.1
_VARIABLE = "HEADWATER_PROGRESS"


def progress_mode(stream: TextIO | None = None) -> Mode:
    """Return how progress is shown: as HEADWATER_PROGRESS says, else a bar when `stream` (stderr) is a terminal.

    Raises:
        ValueError: HEADWATER_PROGRESS is set to something else than bar, plain or off.
    """
    wanted = os.environ.get(_VARIABLE, "").strip().lower()
    if not wanted:
        return "bar" if (stream or sys.stderr).isatty() else "plain"
    for mode in get_args(Mode):
        if wanted == mode:
            return mode
    raise ValueError(f"{_VARIABLE}={wanted}: use bar, plain or off, or leave it unset")


class Progress:
    """How far one step has come.

    >>> with Progress("signals", total=12.5, unit="MB") as progress:
    ...     progress.advance(0.4, note="1,200 documents")

    Args:
        description: what the step is called.
        total: how many units there are; None when that is not known.
        unit: of `done` and `total`: MB, documents, steps.
        log: also called with a line at most every `interval` seconds and with one at the end; without a terminal it
            takes the place of the stream.
        start: what was done before, where a step resumes; no rate counts it.
        mode: how to show it; None asks `progress_mode`.
        interval: least seconds between two lines.
        clock: seconds that never run backwards.
        stream: where to show it; stderr unless given.

    Made for one thread; steps of different threads share the display.
    """

    def __init__(
        self,
        description: str,
        total: float | None = None,
        unit: str = "items",
        log: Callable[[str], None] | None = None,
        *,
        start: float = 0,
        mode: Mode | None = None,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.done = start
        self.note = ""
        self._clock = clock
        self._from = start
        self._started = self._shown = clock()
        chosen = mode or progress_mode(stream)
        self._views = _views(chosen, log, interval, stream)
        self._interval = min((view.interval for view in self._views), default=float("inf"))

    def __enter__(self) -> Self:
        self._started = self._shown = self._clock()
        for view in self._views:
            view.open(self, self._started)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now = self._clock()
        for view in self._views:
            view.close(self, now, failed=kind is not None)

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Count `amount` more units; `note` replaces the text shown beside them."""
        self.done += amount
        self._look(note)

    def advance_nothing(self) -> None:
        """Show that time passes where no unit has come to its end."""
        self._look(None)

    def update(self, done: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Set what is done, what there is, or the note."""
        if done is not None:
            self.done = done
        if total is not None:
            self.total = total
        self._look(note)

    def _look(self, note: str | None) -> None:
        if note is not None:
            self.note = note
        now = self._clock()
        if now - self._shown < self._interval:
            return
        self._shown = now
        for view in self._views:
            view.show(self, now)

    def state(self, now: float) -> str:
        """Return the present state in words: `3.2/12.5 MB · 0.4 MB/s · 23 s left · loss 3.21`."""
        left = self._left(now)
        parts = [self._amount(), self._rate_text(now), "" if left is None else f"{duration(left)} left", self.note]
        return " · ".join(part for part in parts if part)

    def summary(self, now: float) -> str:
        """Return the final state in words: what was done, how long it took, the mean rate and the last note."""
        parts = [self._amount(), duration(now - self._started), self._rate_text(now), self.note]
        return " · ".join(part for part in parts if part)

    def _amount(self) -> str:
        done = quantity(self.done)
        return f"{done} {self.unit}" if self.total is None else f"{done}/{quantity(self.total)} {self.unit}"

    def _rate(self, now: float) -> float:
        elapsed = now - self._started
        return (self.done - self._from) / elapsed if elapsed > 0 else 0.0

    def _rate_text(self, now: float) -> str:
        rate = self._rate(now)
        return f"{quantity(float(rate))} {self.unit}/s" if rate > 0 else ""

    def _left(self, now: float) -> float | None:
        rate = self._rate(now)
        return None if self.total is None or rate <= 0 else max(0.0, (self.total - self.done) / rate)


class _View(Protocol):
    interval: float

    def open(self, progress: Progress, now: float) -> None: ...

    def show(self, progress: Progress, now: float) -> None: ...

    def close(self, progress: Progress, now: float, failed: bool) -> None: ...


def _views(mode: Mode, log: Callable[[str], None] | None, interval: float, stream: TextIO | None) -> list[_View]:
    if mode == "off":
        return []
    views: list[_View] = []
    if mode == "bar":
        views.append(_Bar(stream))
    if log is not None:
        views.append(_Lines(log, interval))
    elif mode == "plain":
        views.append(_Lines(lambda line: print(line, file=stream or sys.stderr, flush=True), interval))
    return views


class _Lines:
    """A line at most every `interval` seconds, and one at the end."""

    def __init__(self, write: Callable[[str], None], interval: float) -> None:
        self.interval = interval
        self._write = write
        self._written = 0.0

    def open(self, progress: Progress, now: float) -> None:
        self._written = now

    def show(self, progress: Progress, now: float) -> None:
        if now - self._written >= self.interval:
            self._written = now
            self._write(f"{progress.description}: {progress.state(now)}")

    def close(self, progress: Progress, now: float, failed: bool) -> None:
        outcome = "stopped at" if failed else "done,"
        self._write(f"{progress.description}: {outcome} {progress.summary(now)}")


def _new_display(stream: TextIO | None) -> "RichProgress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    # Notes come from data: square brackets in them are no markup. On a narrow terminal the state is cut, not the bar.
    name = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    state = TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True, ratio=1))
    return Progress(name, BarColumn(16), state, console=Console(file=stream, stderr=stream is None), expand=True)


class _Display:
    """The one display of the process: begins with the first bar, ends with the last, holds all between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rich: RichProgress | None = None
        self._open = 0

    def add(self, description: str, total: float | None, stream: TextIO | None) -> "tuple[RichProgress, TaskID]":
        with self._lock:
            if self._rich is None:
                self._rich = _new_display(stream)
                self._rich.start()
            self._open += 1
            return self._rich, self._rich.add_task(description, total=total, state="")

    def release(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0 and self._rich is not None:
                self._rich.stop()
                self._rich = None


_display = _Display()


class _Bar:
    """One bar of the process's display."""

    interval = _BAR_INTERVAL

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._rich: RichProgress | None = None
        self._task: TaskID | None = None

    def open(self, progress: Progress, now: float) -> None:
        self._rich, self._task = _display.add(progress.description, progress.total, self._stream)

    def show(self, progress: Progress, now: float) -> None:
        self._set(progress, progress.state(now))

    def close(self, progress: Progress, now: float, failed: bool) -> None:
        self._set(progress, ("stopped at " if failed else "") + progress.summary(now))
        if self._rich is not None and self._task is not None:
            self._rich.stop_task(self._task)
            _display.release()

    def _set(self, progress: Progress, state: str) -> None:
        if self._rich is not None and self._task is not None:
            self._rich.update(self._task, completed=progress.done, total=progress.total, state=state)


def quantity(value: float) -> str:
    """Return a count with thousands separated, or three figures of what is no whole number: `4,100`, `0.045`."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: `4.2 s`, `41 s`, `2 min 05 s`, `1 h 03 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
