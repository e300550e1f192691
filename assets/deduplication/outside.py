"""What deduplication depends on outside the graph: the evaluation items that training must not contain.

Apart from the stage, so that whoever only asks whether something changed loads no kernel.
"""

from headwater.assets.deduplication.evaluation_sets import read_evaluation_set
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.stages import Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.workspace import Workspace


def evaluation_sets_fingerprint(stage: Stage, workspace: Workspace) -> str:
    """Hash of the evaluation items that training must not contain."""
    options: DeduplicationOptions = stage.options  # type: ignore[assignment]
    return digest_of(evaluation_sets(options, workspace))


def evaluation_sets(options: DeduplicationOptions, workspace: Workspace) -> list[tuple[str, list[str]]]:
    """(name, items) of every declared set; relative paths start at the workspace."""
    found = []
    for item in options.decontamination.sets:
        path = item.path if "://" in item.path else str(workspace.root / item.path)
        found.append((item.name, read_evaluation_set(item.model_copy(update={"path": path}))))
    return found
