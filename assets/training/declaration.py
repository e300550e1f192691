"""What a declaration may say about a training: on which shards, which backbone, by which recipe, from which seeds."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from headwater.assets.options import NAME, ComponentOptions, Misfit, Options
from headwater.assets.references import REFERENCE
from headwater.assets.sharding.declaration import ShardsOptions
from headwater.assets.sharding.options import SamplingOptions
from headwater.assets.training.options import Continued, PromoteOptions, RetrainOptions
from headwater.assets.training.parts import Backbone, HuggingFaceFolder, Objective, View
from headwater.models.backbones.options import DecoderOptions
from headwater.models.objectives.next_token.options import NextTokenOptions
from headwater.models.objectives.options import ObjectiveOptions
from headwater.models.trainer.composition import FrozenTeacherOptions
from headwater.models.trainer.options import InfiniteOptions, RecipeOptions
from headwater.models.views.offers import Missing, after_views

__all__ = ["HuggingFaceFolder", "InitOptions", "TrainingOptions", "TrainingStageOptions"]


class InitOptions(Options):
    """The checkpoint that a training starts from: seed by seed, or one seed for all."""

    training: str = Field(pattern=REFERENCE, description="Training or Merge that gives the weights.")
    state: Literal["end", "constant"] = Field(
        "end", description="Which of its states: the last, or the end of the constant phase before annealing."
    )
    vectors: list[Annotated[str, Field(pattern=REFERENCE)]] = Field(
        [],
        description="For a backbone of kind task_vectors: the Trainings or Merges that started from `training`; what "
        "each changed of it is a task vector.",
    )
    keep: list[Literal["heads", "memory", "optimizer", "teachers"]] = Field(
        [], description="What is taken over beside the network's weights, where both have it."
    )
    partial: bool = Field(
        False,
        description="Whether parameters may stay freshly drawn that the checkpoint lacks or has in another shape.",
    )


class TrainingStageOptions(Options):
    """What decides the weights."""

    backbone: SerializeAsAny[Backbone] = Field(
        default_factory=DecoderOptions,
        description="The network. Sizes that the data decide (vocabulary_size, context_length, image_size, …) follow "
        "the shards where they are not given.",
    )
    objective: SerializeAsAny[Objective] | None = Field(
        None, description="What it learns by; unset, and without `objectives`: the next token."
    )
    objectives: dict[str, SerializeAsAny[Objective]] = Field(
        {}, description="Several objectives at once, by name; recipe.weights says how they are weighed."
    )
    views: list[SerializeAsAny[View]] = Field(
        [], description="What is done to examples before the objective sees them, in order."
    )
    init: InitOptions | None = Field(None, description="The checkpoint to start from; unset: freshly drawn weights.")
    recipe: RecipeOptions = Field(
        default_factory=RecipeOptions, description="How it learns. Its seed is replaced by each of `seeds`."
    )
    sampling: SamplingOptions = Field(
        default_factory=SamplingOptions, description="The order in which samples are read."
    )
    seeds: list[int] = Field([0], description="One replicate is trained from each; all belong to the same asset.")

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds must be different numbers from 0 on, at least one; they are {seeds}")
        return seeds

    @field_validator("init", mode="before", json_schema_input_type=InitOptions | str)
    @classmethod
    def _a_name_is_enough(cls, init: Any) -> Any:
        return {"training": init} if isinstance(init, str) else init

    @field_validator("objectives")
    @classmethod
    def _names_of_objectives(cls, objectives: dict[str, ObjectiveOptions]) -> dict[str, ObjectiveOptions]:
        if bad := [name for name in objectives if not name.isidentifier()]:
            raise ValueError(f"objectives are named by letters, digits and _; not {', '.join(bad)}")
        return objectives

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if self.objective is not None and self.objectives:
            raise ValueError("objective and objectives cannot both be said: name the one among the others")
        return self

    @model_validator(mode="after")
    def _teachers_are_declared(self) -> Self:
        there = self.recipe.teachers
        for objective in self.by_name.values():
            wanted = getattr(objective, "teacher", None)
            if isinstance(wanted, str) and wanted not in there:
                kind = getattr(objective, "kind", type(objective).__name__)
                known = f"there are {', '.join(sorted(there))}" if there else "there is none"
                raise ValueError(
                    f"recipe.teachers has no '{wanted}', which the objective {kind} asks; {known}. For an average of "
                    f"the student write recipe: {{teachers: {{{wanted}: {{kind: ema}}}}}}"
                )
        return self

    @model_validator(mode="after")
    def _weighed_terms_exist(self) -> Self:
        there = self._terms()
        if there is None:
            return self
        said = {"weights": list(self.recipe.weights)}
        said |= {f"phases.{n}.weights": list(phase.weights or []) for n, phase in enumerate(self.recipe.phases)}
        said |= {f"updates.{n}.terms": list(update.terms or []) for n, update in enumerate(self.recipe.updates)}
        for where, names in said.items():
            if unknown := [name for name in names if name not in there]:
                raise ValueError(
                    f"recipe.{where} speaks of {', '.join(unknown)}, which is no term of the objective; "
                    f"there are {', '.join(sorted(there))}"
                )
        return self

    @model_validator(mode="after")
    def _whole_batches_stay_whole(self) -> Self:
        cut = self.recipe.micro_batch_size
        parts: list[Any] = [self.backbone, *self.by_name.values()]
        coupling = [part for part in parts if part.needs_whole_batch]
        if cut is not None and cut < self.recipe.batch_size and coupling:
            names = " and ".join(getattr(part, "kind", type(part).__name__) for part in coupling)
            raise ValueError(
                f"recipe.micro_batch_size cuts batches of {self.recipe.batch_size} into {cut}, but the examples of a "
                f"batch influence each other in {names}: leave micro_batch_size out, or choose a smaller batch_size"
            )
        return self

    def _terms(self) -> set[str] | None:
        """Whatever a weight may speak of: terms, and objectives by name; None where an objective does not tell."""
        found: set[str] = set()
        for name, objective in self.by_name.items():
            terms = objective.terms()
            if terms is None:
                return None
            found |= {name, *(f"{name}/{term}" for term in terms)} if name else terms
        return found

    @property
    def by_name(self) -> dict[str, ObjectiveOptions]:
        """The objectives by name; a single one without a name is called ""."""
        return dict(self.objectives) or {"": self.objective or NextTokenOptions()}

    @property
    def teaching(self) -> dict[str, str]:
        """The teachers that come from other trainings: name → the asset that the declaration names."""
        teachers = self.recipe.teachers.items()
        return {n: one.training for n, one in teachers if isinstance(one, FrozenTeacherOptions) and one.training}


def _given(fields: frozenset[str]) -> str:
    return f"There are {', '.join(sorted(fields))}: declare the field in the Shards, or a view that gives it."


def _require_a_constant_phase(recipe: RecipeOptions) -> None:
    schedule = recipe.schedule
    if not isinstance(schedule, InfiniteOptions):
        raise ValueError(f"retrain.how: continue needs recipe.schedule.kind: infinite, not {schedule.kind}")
    if schedule.anneal_from is not None:
        raise ValueError(
            "retrain.how: continue anneals in the last anneal_steps of each run: leave out schedule.anneal_from"
        )
    least = schedule.warmup_steps + schedule.cooldown_steps + schedule.anneal_steps
    if recipe.steps < least:
        raise ValueError(
            f"recipe.steps is {recipe.steps}: warm-up, cooldown and annealing alone take {least}. "
            "Train for more steps, or shorten them in recipe.schedule"
        )


class TrainingOptions(ComponentOptions, TrainingStageOptions):
    """A network trained on shards, a checkpoint per seed, resumable at any step."""

    shards: str = Field(pattern=NAME, description="The Shards to train on.")
    tracking: list[Literal["tensorboard", "mlflow"]] = Field(
        ["tensorboard"], description="Where curves go besides the asset's page; mlflow needs the extra `mlflow`."
    )

    milestones: list[int] = Field(
        [],
        description="Steps, rising, whose states are kept beside the last one, so that an Evaluation can say how far "
        "the training was by then.",
    )
    retrain: RetrainOptions | None = Field(
        None, description="When and how it follows refreshed shards; unset: trained anew at every change of them."
    )
    promote: PromoteOptions | None = Field(
        None,
        description="Adds the asset `current`: the latest checkpoint that held its own against the one before; unset: "
        "no such asset.",
    )

    @property
    def continued(self) -> Continued | None:
        """How retrainings go on from earlier ones; None when they begin anew."""
        how = self.retrain.how if self.retrain else None
        return how if isinstance(how, Continued) else None

    @property
    def determining(self) -> dict[str, Any]:
        """What decides the weights, as JSON values: when to retrain does not, how to continue does."""
        decided = self.model_dump(mode="json", include=set(TrainingStageOptions.model_fields))
        kept = {"milestones": self.milestones} if self.milestones else {}
        return decided | kept | ({"continue": self.continued.model_dump(mode="json")} if self.continued else {})

    @model_validator(mode="after")
    def _milestones_are_on_the_way(self) -> Self:
        steps = self.milestones
        if steps and (steps != sorted(set(steps)) or steps[0] < 1 or steps[-1] >= self.recipe.steps):
            raise ValueError(f"milestones must rise, from 1 to less than recipe.steps ({self.recipe.steps}): {steps}")
        if steps and isinstance(self.recipe.schedule, InfiniteOptions):
            raise ValueError("milestones go with a run of planned length; an infinite schedule keeps states of its own")
        return self

    @model_validator(mode="after")
    def _can_be_continued(self) -> Self:
        if self.continued:
            _require_a_constant_phase(self.recipe)
        if self.continued and self.init:
            raise ValueError("retrain.how: continue goes on from its own checkpoints: leave out init")
        return self

    def misfits(self, named: Callable[[str], Any]) -> Iterator[Misfit]:
        """Views and objectives that need a field which neither the shards nor a view before them give, and a start
        from a network of another width."""
        yield from self._wider_starts(named)
        shards = named(self.shards)
        if not isinstance(shards, ShardsOptions):
            return
        fields = after_views(shards.batch_fields, self.views)
        if isinstance(fields, Missing):
            yield Misfit(("views", fields.place), f"It needs {', '.join(fields.lacks)}.", _given(fields.there))
            return
        for name, objective in self.by_name.items():
            if missing := sorted(objective.needs() - fields):
                where = ("objectives", name) if name else ("objective",)
                yield Misfit(where, f"It needs {', '.join(missing)}.", _given(fields))

    def _wider_starts(self, named: Callable[[str], Any]) -> Iterator[Misfit]:
        start = named(self.init.training.partition("/")[0]) if self.init and not self.init.partial else None
        if self.init is None or not isinstance(start, TrainingOptions):
            return
        own, other = (getattr(options.backbone, "width", None) for options in (self, start))
        if type(self.backbone) is type(start.backbone) and own != other:
            message = f"The network of {self.init.training} has the width {other}, this one {own}."
            mend = "Give both the same, or say `init: {partial: true}` to draw what does not fit."
            yield Misfit(("init", "training"), message, mend)

    def references(self) -> list[tuple[tuple[int | str, ...], str, str]]:
        """See :class:`ComponentOptions`."""
        init: list[tuple[tuple[int | str, ...], str, str]] = []
        if self.init:
            init = [(("init", "training"), "Training", self.init.training)]
            init += [(("init", "vectors", n), "Training", name) for n, name in enumerate(self.init.vectors)]
        teachers = [(("recipe", "teachers", name), "Training", asset) for name, asset in self.teaching.items()]
        return [(("shards",), "Shards", self.shards), *init, *teachers]
