"""What a declaration may say about a merge: of which checkpoints, how, for which replicates."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field, field_validator

from headwater.assets import merging
from headwater.assets.merging.options import MergerOptions
from headwater.assets.options import ComponentOptions, Misfit, Options
from headwater.models.discovery import choice

# The check that what is merged comes from one network.
CHECK, MEANING = "common_start", "What is merged was trained from common weights."

Merger: Any = choice(merging.__name__, MergerOptions)


class MergeStageOptions(Options):
    """What decides the weights."""

    merger: Merger = Field(description="How one network is made of others.")
    seeds: list[int] = Field(
        [0],
        description="A network is made for each, of the ingredients' replicates of that seed; an ingredient with a "
        "single replicate serves for all.",
    )

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds must be different numbers from 0 on, at least one; they are {seeds}")
        return seeds

    @property
    def determining(self) -> dict[str, Any]:
        """What the weights depend on, as JSON values."""
        return {"merger": self.merger.model_dump(mode="json"), "seeds": self.seeds}


class MergeOptions(ComponentOptions, MergeStageOptions):
    """A checkpoint made of others' weights: soups, interpolations, task arithmetic, deeper copies."""

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        return [(("merger", *where), kind, name) for where, kind, name in self.merger.references()]

    def misfits(self, named: Callable[[str], Any]) -> Iterator[Misfit]:
        """Ingredients without a replicate for each of the seeds."""
        for where, name in self.merger.checkpoints():
            there = getattr(named(name.partition("/")[0]), "seeds", None) or []
            lacking = [str(seed) for seed in self.seeds if seed not in there]
            if len(there) > 1 and lacking:
                message = f"'{name}' has no replicate of seed {', '.join(lacking)}."
                yield Misfit(("merger", *where), message, f"Its seeds are {', '.join(map(str, there))}.")
