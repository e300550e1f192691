"""The code location: every declaration of the workspace's folder ``pipelines/``, checked first, as one graph.

This is the one look upward, by path: the assets room loads what the pipelines room declares.
"""

import os

import dagster as dg

from headwater.assets.validation import DeclarationError, validate_workspace
from headwater.assets.workspace import Workspace, find_workspace


def load_definitions(workspace: Workspace) -> dg.Definitions:
    """Loads and checks a workspace's pipelines.

    Raises:
        DeclarationError: a declaration is wrong; the message lists every problem with file, line, field and mend.
    """
    problems = validate_workspace(workspace)
    if problems:
        raise DeclarationError(problems)
    loaded = dg.load_from_defs_folder(path_within_project=workspace.root)
    groups = sorted({spec.group_name for spec in loaded.resolve_all_asset_specs() if spec.group_name})
    jobs = [dg.define_asset_job(g, selection=dg.AssetSelection.groups(g), description=f"All of {g}.") for g in groups]
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor, jobs=jobs))


@dg.definitions
def defs() -> dg.Definitions:
    """What `dg`, `dagster dev` and the UI load."""
    workspace = find_workspace()
    os.environ.setdefault("HEADWATER_WORKSPACE", str(workspace.root))
    return load_definitions(workspace)
