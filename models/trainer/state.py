"""A training state on disk: written whole or not at all, and without pickle.

    <folder>/step-00000020/model.safetensors     the model's weights under their own names
                           trainer.safetensors   heads, memory and optimizer slots
                           state.json            step, spike statistics, recipe, versions
    <folder>/latest.json                         which of them to resume from: written last

A state is built in a hidden folder beside its place, flushed to the disk, and renamed; then the pointer is replaced.
A run killed at any instant leaves either the old pointer or the new one, each naming a complete state.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

FORMAT = 1
POINTER = "latest.json"


class State(NamedTuple):
    """All that a run needs to go on: `step` updates were made."""

    step: int
    model: dict[str, Tensor]
    trainer: dict[str, Tensor]
    facts: dict[str, Any]  # JSON values


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    _flush(path)


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    _flush(path)


def saved_step(folder: Path) -> int | None:
    """The step of the newest complete state, or None. Raises ValueError when the pointer cannot be read."""
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    try:
        return int(json.loads(pointer.read_text(encoding="utf-8"))["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{pointer} is not a pointer to a saved state ({error}); delete it to start anew") from error


def place(folder: Path, step: int) -> Path:
    """Where the state after `step` updates lies."""
    return folder / f"step-{step:08d}"


def save(folder: Path, state: State, keep: int) -> Path:
    """Write a state atomically, point to it, and delete all but the `keep` states before it. Returns its folder."""
    target, partial = place(folder, state.step), folder / f".partial-{state.step:08d}"
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".partial-*"):
        shutil.rmtree(leftover)
    partial.mkdir()
    _write_tensors(partial / "model.safetensors", state.model)
    _write_tensors(partial / "trainer.safetensors", state.trainer)
    _write_json(partial / "state.json", {"format": FORMAT, "step": state.step, **state.facts})
    _flush(partial)
    if target.exists():  # complete, but its run was killed before the pointer named it
        shutil.rmtree(target)
    partial.rename(target)
    _flush(folder)
    pointer = folder / f".{POINTER}.partial"
    _write_json(pointer, {"step": state.step, "folder": target.name})
    pointer.replace(folder / POINTER)
    _flush(folder)
    _prune(folder, state.step, keep)
    return target


def _prune(folder: Path, newest: int, keep: int) -> None:
    steps = sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))
    # A state beyond the pointer is of a run that was killed before it could commit: it is not part of history.
    earlier = [step for step in steps if step < newest]
    for step in [*earlier[: len(earlier) - keep], *(step for step in steps if step > newest)]:
        shutil.rmtree(place(folder, step))


def load(folder: Path) -> State | None:
    """The newest complete state, or None. Raises ValueError, naming the file, when it is damaged."""
    step = saved_step(folder)
    if step is None:
        return None
    home = place(folder, step)
    try:
        facts = json.loads((home / "state.json").read_text(encoding="utf-8"))
        model, trainer = load_file(home / "model.safetensors"), load_file(home / "trainer.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"the saved state {home} is damaged ({error}); restore it or delete {POINTER}") from error
    if facts.pop("format", None) != FORMAT:
        raise ValueError(f"{home / 'state.json'} is not of format {FORMAT}: it was written by another version")
    facts.pop("step")
    return State(step, model, trainer, facts)
