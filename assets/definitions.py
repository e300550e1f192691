"""The code location: every declaration of the workspace's folder ``pipelines/``, checked first, as one graph.

This is the one look upward, by path: the assets room loads what the pipelines room declares.
"""

import os
import warnings
from contextlib import suppress

import dagster as dg

from headwater.assets.automation.condition import with_conditions
from headwater.assets.automation.runs import PIPELINE
from headwater.assets.dagster_assets import stages_of
from headwater.assets.likeness import among
from headwater.assets.validation import DeclarationError, said_in, validate_workspace
from headwater.assets.withdrawal.dagster_asset import withdrawals_asset
from headwater.assets.workspace import Workspace, WorkspaceError, find_workspace


def load_definitions(workspace: Workspace) -> dg.Definitions:
    """Loads and checks a workspace's pipelines.

    Raises:
        DeclarationError: a declaration is wrong; the message lists every problem with file, line, field and mend.
        WorkspaceError: the folder is no project that Dagster can load.
    """
    if not any((workspace.root / name).is_file() for name in ("pyproject.toml", "dg.toml")):
        raise WorkspaceError(
            f"{workspace.root} has no pyproject.toml with [tool.dg.project]. `headwater init my-workspace` writes one."
        )
    problems = validate_workspace(workspace)
    if problems:
        raise DeclarationError(problems)
    with among(said_in(workspace)):
        loaded = _built(workspace)
    groups = sorted({stage.pipeline for stage in stages_of(loaded)})
    jobs = [
        dg.define_asset_job(g, selection=dg.AssetSelection.groups(g), description=f"All of {g}.", tags={PIPELINE: g})
        for g in groups
    ]
    return dg.Definitions.merge(
        with_conditions(loaded),
        dg.Definitions(assets=[withdrawals_asset()], executor=dg.in_process_executor, jobs=jobs),
    )


def _built(workspace: Workspace) -> dg.Definitions:
    """What `dg.load_from_defs_folder` gives, with each declaration known by its place from the start.

    Dagster otherwise goes through all declarations for each of them, which a hundred pipelines feel.
    """
    tree = dg.ComponentTree.for_project(workspace.root)
    with suppress(AttributeError):  # a Dagster that keeps them elsewhere: as slow as it is
        for place, declaration in tree._component_decl_tree().items():
            tree.state_tracker.set_cache_data(place, component_decl=declaration)
    with warnings.catch_warnings():  # about Dagster's own use of what is new in it
        for kind in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("ignore", kind)
        return tree.build_defs()


@dg.definitions
def defs() -> dg.Definitions:
    """What `dg`, `dagster dev` and the UI load."""
    workspace = find_workspace()
    os.environ.setdefault("HEADWATER_WORKSPACE", str(workspace.root))
    return load_definitions(workspace)
