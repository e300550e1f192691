"""What a declaration may say about a comparison: which reports, which claims, and what is unequal for which reason.

There is no option for how a verdict is reached: that rule is the same for every system.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from headwater.assets.evaluation.declaration import EvaluationOptions
from headwater.assets.evaluation.probe_options import RAW_SEEDS
from headwater.assets.options import NAME, ComponentOptions, Misfit, Options

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Metric = str | list[str] | dict[str, float]
Reports = str | dict[str, str]
Unequal = Literal["steps", "examples", "parameters", "training_data", "measures", "network"]

_METRIC = (
    "A figure of the reports, such as linear/accuracy; a list of figures stands for their mean; a mapping of figures "
    "to factors for their weighted sum, such as {few/accuracy: 1, many/accuracy: -1}."
)
_REPORTS = (
    "Name of an Evaluation. A mapping {short name: Evaluation} takes several together; their figures are then called "
    "<short name>/<figure>."
)


class PaperOptions(Options):
    """The publication whose claim is measured."""

    title: str = Field(description="Its title.")
    reference: str = Field(description="Its arXiv number, or another identifier that finds it.")
    parameters: dict[str, int] = Field(
        {},
        description="By the name of a Training: the parameters that the paper states for its network, which it has at "
        "`scale: paper`.",
    )


class BaselineArm(Options):
    """What the method is held against."""

    name: str = Field(pattern=NAME, description="What the arm is called in tables.")
    evaluation: Reports = Field(description=_REPORTS)
    role: str = Field("", description="What the arm is and why it stands here, in a few words.")


class ClaimOptions(Options):
    """One statement about two arms, with a verdict of its own."""

    than: str = Field(description="The other arm: the name of a baseline.")
    of: str | None = Field(None, description="The arm that the claim is about; unset: the method.")
    metric: Metric | None = Field(None, description="Unset: the comparison's. " + _METRIC)
    than_metric: Metric | None = Field(None, description="The other arm's figure, where it has another name.")
    kind: Literal["better", "equal_within"] = Field(
        "better", description="`better`: better by more than `by`. `equal_within`: the arms differ by less than `by`."
    )
    better: Literal["higher", "lower"] | None = Field(
        None, description="Which direction is better; unset: as `higher_is_better` says."
    )
    by: float = Field(0.0, description="The margin, in the figure's unit.", json_schema_extra={"minimum": 0})

    @model_validator(mode="after")
    def _margin(self) -> Self:
        if self.by < 0:
            raise ValueError(f"by must be 0 or more, got {self.by:g}; turn the claim round with `better`")
        if self.kind == "equal_within" and self.by == 0:
            raise ValueError("by must be greater than 0 for `equal_within`: no two arms are equal to the last digit")
        return self


class ComparisonOptions(ComponentOptions):
    """A published claim measured: a method against its baselines, over the same seeds, data and budget."""

    system: Slug = Field(description="Short name of the system: it names the row of the reproductions, and its file.")
    paper: PaperOptions = Field(description="The publication.")
    claim: str = Field(description="What is claimed, in one sentence.")
    metric: Metric = Field(description=_METRIC)
    higher_is_better: bool = Field(True, description="Whether a higher figure is the better one.")
    method: Reports = Field(description=_REPORTS + " In tables this arm bears the system's name.")
    baselines: list[BaselineArm] = Field(description="What the method is held against, at least one arm.")
    claims: list[ClaimOptions] = Field(
        [], description="Each with its own verdict; unset: the method is better than every baseline in `metric`."
    )
    unequal: dict[Unequal, str] = Field(
        {},
        description="What is not the same in all arms, and why the comparison is fair nevertheless. Without the reason "
        "an inequality is refused. `network`: an arm measures raw features, so it has no steps and no parameters.",
    )
    least_difference: float | None = Field(
        None, description="The least difference that would matter, in the figure's unit; it does not move the verdict."
    )
    budget: str = Field("", description="What each arm may use, in words; the counted budget stands beside it.")
    tuning: str = Field("", description="How the settings of each arm were chosen, with the effort spent on each.")
    deviations: list[str] = Field([], description="Where the system departs from the paper.")
    tried: list[str] = Field([], description="What else was tried and what came of it.")

    @field_validator("baselines")
    @classmethod
    def _names_differ(cls, baselines: list[BaselineArm]) -> list[BaselineArm]:
        names = [baseline.name for baseline in baselines]
        if not names:
            raise ValueError("baselines needs at least one arm: a figure alone supports no claim")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"baselines have different names; given more than once: {', '.join(twice)}")
        return baselines

    @model_validator(mode="after")
    def _known_arms(self) -> Self:
        names = [baseline.name for baseline in self.baselines]
        if self.system in names:
            raise ValueError(f"baselines: '{self.system}' is the method's own name, call the baseline otherwise")
        for claim in self.claims:
            for arm in (claim.than, claim.of):
                if arm is not None and arm not in (*names, self.system):
                    raise ValueError(f"claims: there is no arm '{arm}'; the arms are {self.system}, {', '.join(names)}")
            if claim.than == (claim.of or self.system) and claim.than_metric is None:
                raise ValueError(f"claims: '{claim.than}' is compared with itself in the same figure")
        return self

    @property
    def arms(self) -> dict[str, tuple[Reports, str]]:
        """Every arm by name, the method first: (its reports, its role)."""
        return {self.system: (self.method, "the method")} | {b.name: (b.evaluation, b.role) for b in self.baselines}

    def misfits(self, named: Callable[[str], Any]) -> Iterator[Misfit]:
        """Arms over other seeds than the first one's, and figures of probes that an arm's report does not have."""
        seeds: dict[str, list[int]] = {}
        for where, _, name in self.references():
            own = _seeds(named(name), named)
            if own is not None:
                seeds[name] = own
                first = next(iter(seeds))
                if own != seeds[first]:
                    message = f"'{name}' has the seeds {_listed(own)}, but '{first}' {_listed(seeds[first])}."
                    yield Misfit(where, message, "Give all trainings behind a comparison the same seeds.")
        for location, figure, reports in self._figures():
            if told := _unknown_probe(figure, reports, named):
                yield Misfit(location, *told)

    def _figures(self) -> Iterator[tuple[tuple[int | str, ...], str, Reports]]:
        """(where it is said, figure, the reports that must have it) of every figure that a verdict needs."""
        arms = {name: reports for name, (reports, _) in self.arms.items()}
        claims: list[ClaimOptions] = self.claims or [ClaimOptions(than=baseline.name) for baseline in self.baselines]
        for number, claim in enumerate(claims):
            where: tuple[int | str, ...] = ("metric",) if claim.metric is None else ("claims", number, "metric")
            metric = self.metric if claim.metric is None else claim.metric
            yield from ((where, figure, arms[claim.of or self.system]) for figure in weights_of(metric))
            if claim.than_metric is not None:
                where, metric = ("claims", number, "than_metric"), claim.than_metric
            yield from ((where, figure, arms[claim.than]) for figure in weights_of(metric))

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        found = _references(("method",), self.method)
        for number, baseline in enumerate(self.baselines):
            found += _references(("baselines", number, "evaluation"), baseline.evaluation)
        return found


def _references(where: tuple[int | str, ...], reports: Reports) -> list[tuple[tuple[int | str, ...], str, str]]:
    if isinstance(reports, str):
        return [(where, "Evaluation", reports)]
    return [((*where, short), "Evaluation", name) for short, name in reports.items()]


def weights_of(metric: Metric) -> dict[str, float]:
    """Figure → factor."""
    if isinstance(metric, str):
        return {metric: 1.0}
    return metric if isinstance(metric, dict) else {figure: 1 / len(metric) for figure in metric}


def _listed(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds))


def _seeds(evaluation: Any, named: Callable[[str], Any]) -> list[int] | None:
    """The seeds that an Evaluation is of, in order; None where no declaration tells."""
    if not isinstance(evaluation, EvaluationOptions):
        return None
    if evaluation.training is None:
        return sorted(evaluation.seeds or RAW_SEEDS)
    seeds = getattr(named(evaluation.training.partition("/")[0]), "seeds", None)
    return None if seeds is None else sorted(seeds)


def _unknown_probe(figure: str, reports: Reports, named: Callable[[str], Any]) -> tuple[str, str] | None:
    """(what is wrong, the mend) of a figure whose probe a report does not have; None where nothing is."""
    rest = figure
    if not isinstance(reports, str):
        short, _, rest = figure.partition("/")
        if short not in reports:
            known = ", ".join(f"{name}/{rest or '…'}" for name in reports)
            return f"'{figure}' does not begin with the short name of a report.", f"Write one of {known}."
        reports = reports[short]
    evaluation = named(reports)
    if not isinstance(evaluation, EvaluationOptions) or not evaluation.probes:
        return None
    probe = rest.partition("/")[0]
    if probe in evaluation.probes:
        return None
    known = ", ".join(evaluation.probes)
    return f"'{figure}': the Evaluation '{reports}' has no probe '{probe}'.", f"Its probes are {known}."
