"""What a fit depends on outside the graph: a tokenizer file of one's own."""

from headwater.assets.fitting.declaration import FitStageOptions
from headwater.assets.fitting.options import TokenizerFileOptions
from headwater.assets.fitting.tokenizers import load_tokenizer_file
from headwater.assets.stages import Outside, Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.workspace import Workspace


def look_at_file(stage: Stage, workspace: Workspace) -> Outside:
    """The tokenizer in a file of one's own and the hash of the file; nothing where one is fitted.

    Raises:
        ValueError: the file lacks what it needs.
    """
    options: FitStageOptions = stage.options  # type: ignore[assignment]
    if not isinstance(options.fit, TokenizerFileOptions):
        return Outside("")
    path = options.fit.path if "://" in options.fit.path else str(workspace.root / options.fit.path)
    fitted = load_tokenizer_file(options.fit.model_copy(update={"path": path}))
    return Outside(digest_of(fitted.json), fitted)
