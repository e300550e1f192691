"""Which errors people can mend, and what is said of them."""

from headwater.assets.compute.executor import ComputeError
from headwater.assets.validation import DeclarationError
from headwater.assets.workspace import WorkspaceError


class CommandError(Exception):
    """A command was given something it cannot use."""


def mendable(error: BaseException) -> str | None:
    """The message of an error that its reader can mend; ``None`` for a defect.

    Dagster wraps what a step or a declaration raised; the cause is what people need.
    """
    from headwater.assets.component import TemplateError
    from headwater.assets.context import StageError
    from headwater.assets.corpus.sources.records import SourceError
    from headwater.assets.curation.lists import ListError
    from headwater.assets.curation.user_steps import StepError
    from headwater.assets.sharding.shards import ShardError
    from headwater.assets.storage.places import StoreError
    from headwater.assets.training.curves import TrackingError

    known = (
        CommandError, ComputeError, DeclarationError, ListError, ShardError, SourceError, StageError, StepError,
        StoreError, TemplateError, TrackingError, WorkspaceError, FileExistsError,
    )  # fmt: skip
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, known):
            return str(seen)
        if isinstance(seen, SyntaxError):  # in a part or a step of one's own
            return f"{seen.filename}:{seen.lineno}: this is not valid Python: {seen.msg}."
        seen = seen.__cause__ or seen.__context__
    return None
