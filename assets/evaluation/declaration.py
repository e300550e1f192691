"""What a declaration may say about an evaluation: of which training, on which examples or documents, measuring what."""

from collections.abc import Callable, Iterator
from typing import Any, Self

from pydantic import Field, model_validator

from headwater.assets.evaluation.options import EvaluationOptions as MeasureOptions
from headwater.assets.evaluation.probe_options import ProbingOptions
from headwater.assets.options import NAME, ComponentOptions, Misfit
from headwater.assets.references import REFERENCE, checkpoint_asset
from headwater.assets.sharding.declaration import ShardsOptions
from headwater.models.views.offers import Missing, after_views


class EvaluationOptions(ComponentOptions, ProbingOptions):
    """A checkpoint measured: a language model on held-out documents, or any network by probes on examples."""

    training: str | None = Field(
        None,
        pattern=REFERENCE,
        description="The Training whose latest checkpoint is measured; `NAME/current`: the promoted one, "
        "`NAME/merged`: a merged one. Unset only with `network: raw`.",
    )
    held_out: str | None = Field(
        None,
        pattern=NAME,
        description="For a language model: the Shards whose corpora's held-out documents it is measured on.",
    )
    measures: MeasureOptions = Field(
        default_factory=MeasureOptions,
        description="For a language model: what is measured, beside what, and what must hold.",
    )
    shards: str | None = Field(
        None,
        pattern=NAME,
        description="For probes: the Shards with the examples that they learn from and are scored on.",
    )

    @model_validator(mode="after")
    def _one_way_of_measuring(self) -> Self:
        if not self.probes:
            if self.held_out is None:
                raise ValueError(
                    "held_out is missing (or, to measure by examples instead of text, `probes` and `shards`)"
                )
            if self.training is None:
                raise ValueError("training is missing: name the Training that is measured")
            if given := [name for name in ("shards", *ProbingOptions.model_fields) if getattr(self, name)]:
                raise ValueError(f"{given[0]} goes with `probes`, and there are none")
            return self
        if self.held_out is not None or "measures" in self.model_fields_set:
            what = "held_out" if self.held_out is not None else "measures"
            raise ValueError(f"{what} and probes cannot both be said: declare two Evaluations")
        if self.shards is None:
            raise ValueError("shards is missing: name the Shards with the probes' examples")
        if (self.training is None) == (self.network is None):
            raise ValueError("training or `network: raw` must be said, and not both: whose features are measured")
        return self

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        named = (("training", "Training"), ("held_out", "Shards"), ("shards", "Shards"))
        return [((field,), kind, getattr(self, field)) for field, kind in named if getattr(self, field) is not None]

    def misfits(self, named: Callable[[str], Any]) -> Iterator[Misfit]:
        """Probes and views that need a field which neither the shards nor a view before them give."""
        shards = named(self.shards) if self.shards else None
        if not isinstance(shards, ShardsOptions):
            return
        if shards.examples is None:
            yield Misfit(("shards",), "It holds packed tokens; probes need examples.", "Give it `examples: …`.")
            return
        fields = after_views(shards.batch_fields, self.views)
        if isinstance(fields, Missing):
            yield Misfit(("views", fields.place), f"It needs {', '.join(fields.lacks)}.", _given(fields.there))
            return
        for name, probe in self.probes.items():
            if missing := sorted(probe.needs() - fields):
                yield Misfit(("probes", name), f"It needs {', '.join(missing)}.", _given(fields))

    @property
    def probing(self) -> ProbingOptions:
        """What is said about probes alone."""
        return ProbingOptions(**{name: getattr(self, name) for name in ProbingOptions.model_fields})

    @property
    def checkpoint(self) -> str | None:
        """The asset that says which checkpoint is measured; None for raw features."""
        return None if self.training is None else checkpoint_asset(self.training)


def _given(fields: frozenset[str]) -> str:
    return f"The examples and the views before it give {', '.join(sorted(fields))}."
