"""The workspace's stages, as commands need them."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.assets.command_line.errors import CommandError
from headwater.assets.stages import Stage, in_order
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    import dagster as dg

_NAMED = 12  # names that a hint lists


@dataclass(frozen=True)
class Loaded:
    """A workspace with everything it declares."""

    workspace: Workspace
    store: Store
    definitions: "dg.Definitions"
    stages: tuple[Stage, ...]

    @property
    def pipelines(self) -> list[str]:
        """Names of the pipelines."""
        return sorted({stage.pipeline for stage in self.stages})

    def pipeline(self, name: str) -> list[Stage]:
        """The stages of a pipeline, inputs first.

        Raises:
            CommandError: there is no such pipeline.
        """
        found = [stage for stage in self.stages if stage.pipeline == name]
        if not found:
            raise CommandError(f"No pipeline is named '{name}'. {_hint(name, self.pipelines)}")
        return found

    def select(self, selection: str) -> list[Stage]:
        """A pipeline, a component or one asset.

        Raises:
            CommandError: nothing has that name.
        """
        if not selection:
            return list(self.stages)
        for found in (
            [stage for stage in self.stages if stage.pipeline == selection],
            [stage for stage in self.stages if stage.asset == selection],
            [stage for stage in self.stages if stage.name == selection],
        ):
            if found:
                return found
        known = [*self.pipelines, *sorted({s.name for s in self.stages}), *sorted(s.asset for s in self.stages)]
        raise CommandError(f"Nothing is named '{selection}'. {_hint(selection, known)}")

    def select_all(self, selections: Sequence[str]) -> list[Stage]:
        """All that the names select, each stage once, inputs first; everything where there are none.

        Raises:
            CommandError: nothing has one of the names.
        """
        chosen = {stage.asset for name in selections or [""] for stage in self.select(name)}
        return [stage for stage in self.stages if stage.asset in chosen]

    def asset(self, name: str) -> str:
        """The one asset that a name stands for: its own, or that of a component that has no other.

        Raises:
            CommandError: the component has several.
        """
        own = [stage.asset for stage in self.stages if stage.name == name]
        if len(own) > 1:
            raise CommandError(f"'{name}' has several assets; name one: {', '.join(own)}.")
        return own[0] if own else name

    def record(self, asset: str) -> Record:
        """The record of an asset.

        Raises:
            CommandError: it was never materialized, or there is no such asset.
        """
        record = self.store.place(asset).record()
        if record is None:
            known = sorted(stage.asset for stage in self.stages)
            more = "Materialize it first." if asset in known else _hint(asset, known)
            raise CommandError(f"There is no record of '{asset}'. {more}")
        return record


def load_workspace() -> Loaded:
    """Finds the current workspace, prepares its settings and loads its declarations."""
    from headwater.assets.dagster_assets import stages_of  # loads Dagster, which looking at records does not need
    from headwater.assets.definitions import load_definitions

    workspace = find_workspace()
    workspace.prepare()
    os.chdir(workspace.root)  # relative paths in declarations start here
    definitions = load_definitions(workspace)
    return Loaded(workspace, Store(workspace.store_url), definitions, tuple(in_order(stages_of(definitions))))


def with_upstream(stages: Sequence[Stage], chosen: Sequence[Stage]) -> list[Stage]:
    """The chosen stages and all that they are made from, inputs first."""
    by_asset = {stage.asset: stage for stage in stages}
    wanted: set[str] = set()
    pending = [stage.asset for stage in chosen]
    while pending:
        asset = pending.pop()
        if asset not in wanted and asset in by_asset:
            wanted.add(asset)
            pending += by_asset[asset].inputs.values()
    return [stage for stage in stages if stage.asset in wanted]


def _hint(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    more = f" and {len(known) - _NAMED} more (`headwater show` lists all assets)" if len(known) > _NAMED else ""
    return f"There are: {', '.join(known[:_NAMED])}{more}."
