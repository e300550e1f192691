"""The tutorial as steps that can be run: files to write, lines to change, commands with the output that is shown.

Fenced blocks are read as follows. ``yaml`` and ``python`` blocks whose first line is ``# file: PATH`` are that file's
text. ``diff`` blocks with the same first line replace the lines marked ``-`` by those marked ``+``. ``console`` blocks
hold commands after ``$ ``, each followed by the output expected of it; one that ends in ``&`` goes on beside what
follows. Other blocks are for reading only.
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")


@dataclass(frozen=True)
class WriteFile:
    """A file to write."""

    path: str
    text: str


@dataclass(frozen=True)
class ChangeFile:
    """Lines to replace by others in a file."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Command:
    """A command and the lines that its output must show; ``...`` stands for anything."""

    command: str
    expected: tuple[str, ...]


Step = WriteFile | ChangeFile | Command


def steps_of(markdown: str) -> list[Step]:
    """The steps of a page, in order."""
    found: list[Step] = []
    for language, body in BLOCK.findall(markdown):
        named = FILE.match(body)
        if language == "console":
            found += _commands(body)
        elif language == "diff" and named:
            found.append(_change(named[1], body[named.end() :]))
        elif named:
            found.append(WriteFile(named[1], body[named.end() :]))
    return found


def _commands(body: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *expected = part.rstrip("\n").splitlines()
        yield Command(command, tuple(expected))


def _change(path: str, body: str) -> ChangeFile:
    lines = body.splitlines()
    old, new = ("\n".join(line[1:] for line in lines if line.startswith(mark)) for mark in "-+")
    return ChangeFile(path, old, new)


class Shell:
    """Runs steps in a folder; ``cd`` lasts from one command to the next."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, dict(environment)
        self.beside: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """Ends what was started with ``&``, and all that it started: each is a session of its own."""
        for process in self.beside:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def run(self, step: Step) -> str:
        """Runs a step and returns what a command printed.

        Raises:
            AssertionError: a command failed, or lines to change are not there exactly once.
        """
        if isinstance(step, WriteFile):
            (self.folder / step.path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / step.path).write_text(step.text, encoding="utf-8")
        elif isinstance(step, ChangeFile):
            text = (self.folder / step.path).read_text(encoding="utf-8")
            assert text.count(step.old) == 1, f"{step.path} holds {step.old!r} {text.count(step.old)} times"
            (self.folder / step.path).write_text(text.replace(step.old, step.new), encoding="utf-8")
        elif step.command.startswith("cd "):
            self.folder /= step.command.removeprefix("cd ")
        elif step.command.endswith(" &"):
            command = ["bash", "-c", f"exec {step.command.removesuffix(' &')}"]
            self.beside.append(subprocess.Popen(command, cwd=self.folder, env=self.environment, start_new_session=True))
        else:
            return self._output(step.command)
        return ""

    def _output(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout


def missing_line(output: str, expected: tuple[str, ...]) -> str | None:
    """The first expected line that the output does not show, in order; runs of white space and numbers count alike.

    Numbers differ between versions of Python and of its library, so any number stands for any other.
    """
    seen = [_plain(line) for line in output.splitlines()]
    at = 0
    for line in expected:
        if line.strip() == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in _plain(line).split("...")))
        at = next((n for n in range(at, len(seen)) if pattern.fullmatch(seen[n])), -1) + 1
        if at == 0:
            return line
    return None


def _plain(line: str) -> str:
    return re.sub(r"\d[\d.,]*\d|\d", "0", " ".join(line.split()))
