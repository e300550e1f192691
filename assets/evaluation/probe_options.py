"""What YAML may say about measuring a network by probes: which probes, on which examples, and what must hold."""

import re
from typing import Any, Literal, Self

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from headwater.assets.evaluation.parts import Probe, View
from headwater.assets.options import Options
from headwater.models.probes.options import ProbeOptions

RAW_SEEDS = (0, 1, 2)  # of probes without a network, where none are said
AFTER = "@"  # stands between a figure and the examples seen by the milestone that it is of


class RequirementOptions(Options):
    """What a figure must reach, for every seed."""

    at_least: float | None = Field(None, description="The least value that passes.")
    at_most: float | None = Field(None, description="The greatest value that passes.")
    block: bool = Field(False, description="Whether what is downstream stops when it is missed.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a requirement needs at_least or at_most")
        return self


class ProbingOptions(Options):
    """Probes of a network on examples. Each probe learns from the training stream and is scored on the held-out one."""

    probes: dict[str, SerializeAsAny[Probe]] = Field(
        {}, description="Probes by a name of your choice; their figures are called <name>/<figure>."
    )
    views: list[SerializeAsAny[View]] = Field(
        [], description="What is done to examples before the network sees them, in order and always the same."
    )
    train: list[str] = Field(
        [], description="Streams that the probes learn from; unset: every <corpus>-train of the shards."
    )
    test: list[str] = Field(
        [], description="Streams that the figures are of; unset: every <corpus>-held_out of the shards."
    )
    network: Literal["raw"] | None = Field(
        None, description="`raw`: no network, the examples' own numbers are the features. Leave out `training` then."
    )
    seeds: list[int] = Field(
        [], description="Seeds of the probes with `network: raw`; a checkpoint brings its own. Unset: 0, 1, 2."
    )
    milestones: bool = Field(
        False,
        description="Also measure the states that the training kept at its milestones: the figures "
        "<probe>/<figure>@<examples seen by then>.",
    )
    require: dict[str, RequirementOptions] = Field(
        {},
        description="What figures must reach: {linear/accuracy: 0.5}, or with `at_least`, `at_most` and `block`. Each "
        "is a check.",
    )

    @field_validator("require", mode="before", json_schema_input_type=dict[str, float | RequirementOptions])
    @classmethod
    def _a_number_is_enough(cls, require: Any) -> Any:
        if not isinstance(require, dict):
            return require
        return {k: {"at_least": v} if isinstance(v, int | float) else v for k, v in require.items()}

    @field_validator("probes")
    @classmethod
    def _names_of_probes(cls, probes: dict[str, ProbeOptions]) -> dict[str, ProbeOptions]:
        if bad := [name for name in probes if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)]:
            raise ValueError(
                f"probes are named by letters, digits and _, beginning with a letter; not {', '.join(bad)}"
            )
        return probes

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        for figure in self.require:
            probe, _, rest = figure.partition("/")
            if probe not in self.probes or not rest:
                known = ", ".join(self.probes) or "there are none"
                raise ValueError(f"require: '{figure}' is no figure <probe>/<figure>; the probes: {known}")
        if self.seeds and self.network is None:
            raise ValueError("seeds go with `network: raw`: a checkpoint is measured for each of its own")
        if len(set(self.seeds)) != len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise ValueError(f"seeds must be different numbers from 0 on; they are {self.seeds}")
        return self

    @property
    def determining(self) -> dict[str, Any]:
        """What decides the figures and checks, as JSON values."""
        rest = self.model_dump(mode="json", exclude={"probes", "views", *(() if self.milestones else ("milestones",))})
        probes = {name: probe.model_dump(mode="json") for name, probe in self.probes.items()}
        return {"probes": probes, "views": [view.model_dump(mode="json") for view in self.views], **rest}

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose code decides the figures, apart from the networks'."""
        parts = [*self.probes.values(), *self.views]
        return tuple(dict.fromkeys(module for part in parts for module in part.modules))


def check_name(figure: str) -> str:
    """The name of the check on a figure: letters, digits and _ only."""
    return f"require_{re.sub(r'[^A-Za-z0-9]+', '_', figure)}"
