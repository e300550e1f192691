"""Stages made for tests: countable, killable, and importable by worker processes."""

import os
import signal
from pathlib import Path

import pyarrow as pa

from headwater.assets.context import StageContext
from headwater.assets.options import Options
from headwater.assets.stages import Outcome, Stage

ROWS = pa.schema([("item", pa.int64()), ("square", pa.int64())])


class CountingOptions(Options):
    """How many partitions, and how many numbers each covers."""

    numbers: int = 12
    width: int = 2


def counting_stage(numbers: int = 12, width: int = 2, **changes) -> Stage:
    given = {
        "name": "numbers",
        "stage": "squares",
        "kind": "Test",
        "function": "small_stages:materialize_squares",
        "options": CountingOptions(numbers=numbers, width=width),
        "determining": {"numbers": numbers},  # the width is a matter of execution
    }
    return Stage(**(given | changes))


def materialize_squares(context: StageContext) -> Outcome:
    options = context.stage.options
    items = [list(range(n, min(n + options.width, options.numbers))) for n in range(0, options.numbers, options.width)]
    tables, figures = context.run_partitions("square", squares, items, {"rows": ROWS}, covers=items)
    die_at("the end")
    return Outcome(tables=tables, metrics={"sum": sum(figure["sum"] for figure in figures)})


def squares(item):
    """Notes in the file HEADWATER_TEST_COUNTER that it ran, and dies where it is told to."""
    die_at(str(item[0]))
    die_once(item[0] == 4)
    if counter := os.environ.get("HEADWATER_TEST_COUNTER"):
        with open(counter, "a") as file:
            file.write(f"{item[0]}\n")
    table = pa.table({"item": item, "square": [n * n for n in item]}, schema=ROWS)
    for batch in table.to_batches():
        yield "rows", batch
    yield "figures", {"sum": sum(item)}


def die_at(place: str) -> None:
    if os.environ.get("HEADWATER_TEST_KILL_AT") == place:
        os.kill(os.getpid(), signal.SIGKILL)


def die_once(wanted: bool) -> None:
    """Dies if the file HEADWATER_TEST_KILL_ONCE is not there yet, and leaves it."""
    mark = os.environ.get("HEADWATER_TEST_KILL_ONCE")
    if wanted and mark and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def computed(counter: Path) -> list[int]:
    """First numbers of the partitions computed so far, in order."""
    return [int(line) for line in counter.read_text().split()] if counter.exists() else []


def process_signals(text: str, options: dict) -> dict[str, float]:
    """A user's signal: the process that measured it."""
    return {"process": float(os.getpid())}


def process_log(text: str, options: dict) -> dict[str, float]:
    """A user's signal that depends on the text alone, and notes in a file which process measured it."""
    with open(options["log"], "a") as file:
        file.write(f"{os.getpid()}\n")
    return {"vowels": float(sum(text.count(vowel) for vowel in "aeiou"))}


def shout(text: str, options: dict) -> str:
    """A user's transform."""
    return text.replace(options["word"], options["word"].upper())


def fail_on(text: str, options: dict) -> str:
    """A user's transform that breaks."""
    raise KeyError(options["word"])
