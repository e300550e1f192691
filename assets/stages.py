"""A stage: one asset as Headwater sees it, independent of Dagster.

A component gives stages; a stage names its inputs, its options and the function that computes it (by import path, so
that loading a hundred pipelines imports no torch). ``assets/running.py`` runs it; ``assets/dagster_assets.py`` shows
it.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headwater.assets.code_version import code_record
from headwater.assets.compute.options import ComputeOptions
from headwater.assets.options import Options
from headwater.assets.redaction import redacted_options
from headwater.assets.storage.records import CheckRecord, CodeRecord, Counts, TableRecord
from headwater.assets.workspace import Workspace


@dataclass(frozen=True)
class Check:
    """An asset check that a stage always reports; a blocking one stops what is downstream."""

    name: str
    description: str
    blocking: bool = False


@dataclass(frozen=True)
class Stage:
    """One asset: what determines it, what computes it and how it is shown."""

    name: str  # the component's
    stage: str  # raw, signals, …
    kind: str  # Corpus, Fit, …
    function: str  # "package.module:function", called with a StageContext, returns an Outcome
    options: Options
    determining: Mapping[str, Any] | None = None  # the part of the options that decides content; None: all of them
    inputs: Mapping[str, str] = field(default_factory=dict)  # role → asset "component/stage"
    optional: tuple[str, ...] = ()  # roles whose asset may never have been materialized
    outside: str | None = None  # "package.module:function" (stage, workspace) → Outside, or its digest alone
    refreshes: tuple[str, ...] = ()  # roles ("outside" is one) whose changes an earlier output can be built on for
    limits: tuple[str, ...] = ()  # options that checks alone look at: another one is a refresh, which checks again
    grows: bool = False  # the earlier output shapes the content: it is part of the identity
    restores: bool = True  # an earlier output of the same identity may come back; not where events are the content
    hold: str | None = None  # "package.module:function" (stage, store, current, wanted) → why the output stays, or None
    code: int = 1
    modules: tuple[str, ...] = ()
    modules_of_inputs: str | None = None  # "package.module:function" (store, inputs' records) → further modules
    libraries: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    pipeline: str = "default"
    description: str = ""
    kinds: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def asset(self) -> str:
        """The asset's name, ``component/stage``."""
        return f"{self.name}/{self.stage}"

    @property
    def identity_options(self) -> dict[str, Any]:
        """The options that determine content as JSON values, defaults included and secrets left out."""
        options = self.options.model_dump(mode="json") if self.determining is None else dict(self.determining)
        return redacted_options(options)

    def code_record(self, further: tuple[str, ...] = ()) -> CodeRecord:
        """The version of the code that computes this stage, with `further` modules that its inputs bring."""
        own = (self.function.partition(":")[0], *self.modules, *further)
        return code_record(self.code, own, self.libraries)

    def look_outside(self, workspace: Workspace) -> "Outside | None":
        """What the stage depends on outside the graph, as it is now; None where there is nothing of the kind."""
        if self.outside is None:
            return None
        seen = import_object(self.outside)(self, workspace)
        return seen if isinstance(seen, Outside) else Outside(seen, seen)

    def load(self) -> Callable[..., "Outcome"]:
        """The stage's function, imported now."""
        return import_object(self.function)


class Outside(NamedTuple):
    """What lies outside the graph, such as the files of a source."""

    digest: str
    found: Any = None  # what was looked at, for the stage's function, so that it need not look again


@dataclass
class Outcome:
    """What a stage's function gives back; the runner turns it into a record."""

    tables: dict[str, TableRecord] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)  # what the next refresh goes on counting from
    checks: list[CheckRecord] = field(default_factory=list)
    markdown: dict[str, str] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)  # title → SVG text
    files: dict[str, str] = field(default_factory=dict)  # path within the output's folder → hash (storage.file_hashes)
    content: str | None = None  # when not everything published counts as content


def import_object(path: str) -> Any:
    """Imports ``package.module:name``.

    Raises:
        ImportError: the module or the name in it is missing; the message says which.
    """
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    if not hasattr(found, name):
        raise ImportError(f"{module} has no '{name}' (named by '{path}').")
    return getattr(found, name)


def in_order(stages: Sequence[Stage]) -> list[Stage]:
    """Stages with every input before its consumer; inputs that are not among them are left out.

    Raises:
        ValueError: the stages form a circle.
    """
    by_asset = {stage.asset: stage for stage in stages}
    ordered: dict[str, Stage] = {}
    entered: set[str] = set()

    def visit(stage: Stage) -> None:
        if stage.asset in ordered:
            return
        if stage.asset in entered:
            raise ValueError(f"'{stage.asset}' depends on itself through its inputs.")
        entered.add(stage.asset)
        for asset in stage.inputs.values():
            if asset in by_asset:
                visit(by_asset[asset])
        ordered[stage.asset] = stage

    for stage in stages:
        visit(stage)
    return list(ordered.values())
