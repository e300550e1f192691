"""What deduplication depends on outside the graph: the evaluation items that training must not contain.

Apart from the stage, so that whoever only asks whether something changed loads no kernel.
"""

from headwater.assets.deduplication.evaluation_sets import read_evaluation_set
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.stages import Outside, Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.workspace import Workspace


def look_at_evaluation_sets(stage: Stage, workspace: Workspace) -> Outside:
    """The evaluation items that training must not contain, as (name, items) of every declared set, and their hash."""
    options: DeduplicationOptions = stage.options  # type: ignore[assignment]
    found = []
    for item in options.decontamination.sets:
        path = item.path if "://" in item.path else str(workspace.root / item.path)
        found.append((item.name, read_evaluation_set(item.model_copy(update={"path": path}))))
    return Outside(digest_of(found), found)
