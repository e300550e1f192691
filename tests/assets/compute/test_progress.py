import io
import re

import pytest

from headwater.assets.compute import progress as module
from headwater.assets.compute.progress import Progress, duration, progress_mode, quantity


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = 100.0
        self.reads = 0

    def __call__(self):
        self.reads += 1
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return Clock()


def lines(mode="plain", **kwargs):
    said = []
    return said, lambda clock: Progress("signals", unit="MB", log=said.append, mode=mode, clock=clock, **kwargs)


def test_a_line_at_most_every_ten_seconds_and_one_at_the_end(clock):
    said, make = lines(total=500)
    with make(clock) as progress:
        for _ in range(500):
            clock.now += 0.125  # exact in binary
            progress.advance(1, note="ok")
    assert len(said) == 7  # after 10, 20, ... 60 seconds and at the end
    assert said[0] == "signals: 80/500 MB · 8 MB/s · 52 s left · ok"
    assert said[-1] == "signals: done, 500/500 MB · 1 min 02 s · 8 MB/s · ok"


def test_nothing_is_said_before_the_first_interval_and_the_end_is_always_said(clock):
    said, make = lines(total=10)
    with make(clock) as progress:
        clock.now += 9.9
        progress.advance(3)
        assert said == []
    assert said == ["signals: done, 3/10 MB · 9.9 s · 0.303 MB/s"]


def test_the_interval_runs_from_the_last_line(clock):
    said, make = lines(interval=5.0)
    with make(clock) as progress:
        for seconds in (6, 4, 2, 4):
            clock.now += seconds
            progress.advance(2)
        assert len(said) == 2  # after 6 and after 12 seconds
    assert said[1] == "signals: 6 MB · 0.5 MB/s"


def test_update_sets_what_is_done_the_total_and_the_note(clock):
    said, make = lines()
    with make(clock) as progress:
        clock.now += 10
        progress.update(done=5, total=20, note="loss 3.21")
        clock.now += 10
        progress.update(note="loss 3.10")
    assert said[:2] == [
        "signals: 5/20 MB · 0.5 MB/s · 30 s left · loss 3.21",
        "signals: 5/20 MB · 0.25 MB/s · 1 min 00 s left · loss 3.10",
    ]


def test_a_resumed_step_does_not_count_what_was_done_before(clock):
    said, make = lines(total=1000, start=900)
    with make(clock) as progress:
        clock.now += 10
        progress.update(done=950)
    assert said[0] == "signals: 950/1,000 MB · 5 MB/s · 10 s left"


def test_a_step_that_fails_says_where_and_lets_the_error_through(clock):
    said, make = lines(total=10)

    def fail():
        with make(clock) as progress:
            clock.now += 2
            progress.advance(4)
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert said == ["signals: stopped at 4/10 MB · 2.0 s · 2 MB/s"]


def test_without_a_log_the_lines_go_to_the_stream_and_with_one_to_it_alone(clock):
    stream = io.StringIO()
    with Progress("pack", mode="plain", clock=clock, stream=stream):
        pass
    assert stream.getvalue() == "pack: done, 0 items · 0.0 s\n"
    said, quiet = [], io.StringIO()
    with Progress("pack", mode="plain", clock=clock, stream=quiet, log=said.append):
        pass
    assert (len(said), quiet.getvalue()) == (1, "")


def test_off_says_nothing_at_all(clock):
    said, make = lines(mode="off")
    with make(clock) as progress:
        clock.now += 100
        progress.advance(5)
    assert said == []
    assert progress.done == 5


def test_frequent_reports_compose_no_text(clock, monkeypatch):
    composed = []
    monkeypatch.setattr(Progress, "state", lambda self, now: composed.append(now) or "")
    _, make = lines(total=100_000)
    with make(clock) as progress:
        for _ in range(20_000):
            progress.advance()
    assert composed == []
    assert clock.reads < 20_010


def test_bars_nest_in_one_display_and_leave_none_behind(clock):
    stream, said = Terminal(), []
    with Progress("outer [bold]", total=2, mode="bar", clock=clock, stream=stream, log=said.append) as outer:
        display = module._display._rich
        with Progress("inner", total=4, unit="steps", mode="bar", clock=clock, stream=stream) as inner:
            assert module._display._rich is display
            clock.now += 0.5
            inner.advance(1, note="[red]note")
            tasks = {task.description: task for task in display.tasks}
            assert tasks["inner"].fields["state"] == "1/4 steps · 2 steps/s · 1.5 s left · [red]note"
            assert (tasks["inner"].completed, tasks["inner"].total) == (1, 4)
        outer.advance(2)
    assert module._display._rich is None
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "outer [bold]" in shown
    assert "[red]note" in shown
    assert said == ["outer [bold]: done, 2/2 items · 0.5 s · 4 items/s"]


def test_a_bar_is_redrawn_ten_times_a_second_and_the_log_keeps_its_own_pace(clock):
    said = []
    with Progress("train", total=1000, mode="bar", clock=clock, stream=Terminal(), log=said.append) as progress:
        (task,) = module._display._rich.tasks
        clock.now += 0.05
        progress.advance(10)
        assert task.completed == 0
        clock.now += 0.06
        progress.advance(10)
        assert task.completed == 20
        for _ in range(250):
            clock.now += 0.1
            progress.advance(1)
        assert len(said) == 2
    assert len(said) == 3


def test_a_failing_bar_leaves_the_display_free(clock):
    with pytest.raises(KeyError), Progress("x", mode="bar", clock=clock, stream=Terminal()):
        raise KeyError
    assert module._display._rich is None
    assert module._display._open == 0


@pytest.mark.parametrize(
    ("setting", "stream", "mode"),
    [
        ("", Terminal(), "bar"),
        ("", io.StringIO(), "plain"),
        ("bar", io.StringIO(), "bar"),
        ("PLAIN", Terminal(), "plain"),
        ("off", Terminal(), "off"),
    ],
)
def test_the_terminal_decides_unless_the_environment_does(monkeypatch, setting, stream, mode):
    monkeypatch.setenv("HEADWATER_PROGRESS", setting)
    assert progress_mode(stream) == mode


def test_an_unknown_setting_is_refused_with_the_choices(monkeypatch):
    monkeypatch.setenv("HEADWATER_PROGRESS", "fancy")
    with pytest.raises(ValueError, match="HEADWATER_PROGRESS=fancy: use bar, plain or off"):
        Progress("x")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (9.96, "10 s"),
        (41, "41 s"),
        (59.7, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (3780, "1 h 03 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(4100, "4,100"), (12.5, "12.5"), (0.0451, "0.0451"), (1234567.8, "1,234,568"), (99.96, "100")]
)
def test_quantities(value, text):
    assert quantity(value) == text
