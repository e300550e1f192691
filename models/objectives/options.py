"""The base of what a declaration may say about an objective. No torch here: loading many pipelines must stay cheap."""

from headwater.models.discovery import PartOptions, kind_of

_HOME = "headwater.models.objectives"
# What every objective is made of, beside its own folder: an edit of it changes what any of them computes.
_SHARED = tuple(f"{_HOME}.{name}" for name in ("protocol", "together", "base", "batches", "layers", "cross_entropy"))


class ObjectiveOptions(PartOptions):
    """A way to learn from a batch; `build()` gives the objective."""

    def needs(self) -> frozenset[str]:
        """Fields the batch must have: checked against what data and views offer when definitions load."""
        raise TypeError(f"{type(self).__name__} must say which fields it needs")

    def terms(self) -> frozenset[str] | None:
        """Names of the terms of its losses, so that weights are checked before a run: one, called like the kind, unless
        a part says otherwise. None where only the run can tell, as for a class of a user's own."""
        kind = kind_of(type(self))
        return frozenset({kind}) if kind and self.built_by.startswith(f"{_HOME}.") else None

    @property
    def needs_whole_batch(self) -> bool:
        """Whether its examples influence each other in a way that no cut of the batch can keep."""
        return False

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides what is learned: the part's folder and what objectives share."""
        return (*super().modules, *_SHARED)
