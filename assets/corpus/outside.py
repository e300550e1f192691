"""What a corpus depends on outside the graph: the files of its sources, as they are listed; none is opened."""

from headwater.assets.corpus.declaration import RawOptions
from headwater.assets.corpus.reading import list_files
from headwater.assets.stages import Outside, Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.workspace import Workspace


def look_at_sources(stage: Stage, workspace: Workspace) -> Outside:
    """The listing and its hash (names, sizes, times): while that stays the same, nothing is read again.

    Raises:
        SourceError: a source matches no file, or cannot be listed.
    """
    options: RawOptions = stage.options  # type: ignore[assignment]
    files = [file for source in options.sources for file in list_files(source, workspace.root)]
    return Outside(digest_of([[f.source, f.uri, f.size, f.stamp] for f in files]), files)
