"""checkpoint: train every replicate to the end, describe its curve, and store what positions are computed from."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from headwater.assets.compute.training_workers import run_on_workers
from headwater.assets.context import StageContext, StageError
from headwater.assets.sharding.opening import OpenShards, open_shards
from headwater.assets.sharding.options import MixtureEntry
from headwater.assets.sharding.sampling import Sampler, segment_over
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.tables import read_table
from headwater.assets.tokenization.spans import documents_of_sample
from headwater.assets.tokenization.stage import stream_name
from headwater.assets.training.checkpoints import source_of
from headwater.assets.training.course import Course, continued_course, first_course, prolonged
from headwater.assets.training.curves import read_curve
from headwater.assets.training.declaration import HuggingFaceFolder, TrainingOptions
from headwater.assets.training.describe import describe_course, describe_training
from headwater.assets.training.outside import sha256_of
from headwater.assets.training.places import STATE
from headwater.assets.training.replicate import FAILURE, Replicate, reached, stops, train
from headwater.assets.training.starting import Source, Start
from headwater.models.backbones.options import BackboneOptions
from headwater.models.hugging_face import import_llama
from headwater.models.trainer.reports import StepReport
from headwater.models.trainer.state import place
from headwater.models.views.offers import offered


def materialize_checkpoint(context: StageContext) -> Outcome:
    """Trains one replicate per seed.

    Raises:
        StageError: the loss or gradient stopped being a number; names the documents of the step.
    """
    options: TrainingOptions = context.stage.options  # type: ignore[assignment]
    shards = context.inputs["shards"]
    opened = open_shards(context.store, shards)
    _refuse_missing_fields(context, options, opened)
    course = _course(context, options, opened)
    replicates = [_replicate(context, options, opened, course, seed) for seed in options.seeds]
    for replicate in replicates:
        _train(context, replicate)
    outcome = Outcome(files=_files(context.folder, replicates))
    weights = {name: sha for name, sha in outcome.files.items() if name.endswith("model.safetensors")}
    outcome.content = digest_of(weights)
    describe_training(outcome, replicates)
    describe_course(outcome, course)
    return outcome


def _refuse_missing_fields(context: StageContext, options: TrainingOptions, shards: OpenShards) -> None:
    """Refuses before the first step what an objective would ask for in vain."""
    try:
        fields = offered(shards.fields, options.views)
    except ValueError as error:
        raise StageError(f"{context.stage.asset}: {error}") from error
    for name, objective in options.by_name.items():
        if missing := sorted(objective.needs() - fields):
            which = f"objectives.{name}" if name else "its objective"
            raise StageError(
                f"{context.stage.asset}: {which} needs {', '.join(missing)}; shards and views give "
                f"{', '.join(sorted(fields))}. Declare such fields in the Shards, or views that make them."
            )


def _course(context: StageContext, options: TrainingOptions, shards: OpenShards) -> Course:
    record = context.inputs["shards"]
    held = shards.reader.index.streams()
    mixture = [
        MixtureEntry(stream=stream, weight=held.get(stream) or 1 if entry["weight"] == "size" else entry["weight"])
        for entry in record.identity.options["mixture"]
        for stream in [stream_name(entry["name"], "train")]
    ]
    try:
        segment = segment_over(shards.reader.index, mixture, options.sampling, options.recipe.batch_size)
    except ValueError as error:  # a corpus of the mixture gave no training tokens
        raise StageError(f"{context.stage.asset}: {error}. Look at the streams of {record.asset}.") from error
    segment = replace(segment, shards=record.digest)
    if options.continued and context.base is not None:
        return continued_course(context, segment, options.recipe, options.continued)
    course = first_course(segment, options.recipe, options.continued)
    return prolonged(context, course, context.found)


def _replicate(
    context: StageContext, options: TrainingOptions, shards: OpenShards, course: Course, seed: int
) -> Replicate:
    backbone, folder = _backbone(context, options, shards)
    source = source_of(context.store, context.inputs["init"], seed, options.init) if options.init else None
    return Replicate(
        folder=context.folder / f"seed_{seed}",
        shards=shards.folder,
        segments=course.segments,
        backbone=backbone,
        objectives={name: one.fitted_to(shards.facts) for name, one in options.by_name.items()},
        recipe=course.recipe.model_copy(update={"seed": seed}),
        views=tuple(one.fitted_to(shards.facts) for one in options.views),
        start=Start(folder, source, options.init, _task_vectors(context, options, seed)),
        teachers={name: source_of(context.store, context.inputs[f"teacher:{name}"], seed) for name in options.teaching},
        constant_until=course.constant_until,
        milestones=tuple(options.milestones),
        base=Path(context.place.folder(course.base.digest)) / f"seed_{seed}" if course.base else None,
        trackers=tuple(options.tracking),
        name=f"{context.stage.name} seed {seed}",
        unit="tokens" if "loss_mask" in shards.fields else "terms",
    )


def _task_vectors(context: StageContext, options: TrainingOptions, seed: int) -> tuple[Source, ...]:
    """The checkpoints whose changes of the first one are the backbone's task vectors."""
    names = options.init.vectors if options.init else []
    return tuple(source_of(context.store, context.inputs[f"vector:{number}"], seed) for number in range(len(names)))


def _backbone(
    context: StageContext, options: TrainingOptions, shards: OpenShards
) -> tuple[BackboneOptions, str | None]:
    if isinstance(options.backbone, HuggingFaceFolder):
        folder = str(context.workspace.root / options.backbone.path)
        decoder = import_llama(Path(folder))[0]
        _refuse_misfit(context, decoder, shards.facts)
        return decoder, folder
    vectors = options.init.vectors if options.init else []
    summed = {"task_vectors": len(vectors)} if vectors else {}
    backbone = options.backbone.fitted_to({**shards.facts, **summed})
    _refuse_misfit(context, backbone, shards.facts)
    return backbone, None


def _refuse_misfit(context: StageContext, backbone: BackboneOptions, facts: Mapping[str, Any]) -> None:
    """Refuses a network that is too small for token ids or samples; other sizes are its own affair."""
    vocabulary, length = facts.get("vocabulary_size", 0), facts.get("context_length", 0)
    if getattr(backbone, "vocabulary_size", vocabulary) < vocabulary:
        raise StageError(
            f"{context.stage.asset}: the tokenizer gives ids up to {vocabulary - 1}, the backbone has "
            f"{backbone.vocabulary_size}. Leave out vocabulary_size, or use the backbone's own tokenizer in the Fit."  # type: ignore[attr-defined]
        )
    if getattr(backbone, "context_length", length) < length:
        raise StageError(
            f"{context.stage.asset}: samples have {length} tokens, the backbone takes {backbone.context_length}. "  # type: ignore[attr-defined]
            "Leave out context_length, or lower sequence_length of the Shards."
        )


def _train(context: StageContext, replicate: Replicate) -> None:
    steps, start = replicate.recipe.steps, reached(replicate)
    if start >= steps:
        return
    compute = context.stage.compute
    try:
        label = f"{context.stage.asset} seed {replicate.recipe.seed}"
        with context.progress(steps, "steps", label, start=start) as bar:
            if compute.workers > 1:
                run_on_workers(train, replicate, compute, lambda: _follow(bar, replicate))
            else:
                train(replicate, watch=lambda report: bar.update(done=report.step + 1, note=_note(report, replicate)))
    except Exception as error:
        failure = replicate.folder / FAILURE
        if failure.exists():
            raise StageError(_blame(context, replicate, json.loads(failure.read_text()))) from error
        raise


def _note(report: StepReport, replicate: Replicate) -> str:
    loss = f"loss {report.loss:.3f}"
    if replicate.unit != "tokens":
        return loss
    return f"{loss} · {report.tokens / max(report.seconds, 1e-9):,.0f} tokens/s"


def _follow(bar: Any, replicate: Replicate) -> None:
    lines = read_curve(replicate.folder)
    if lines:
        bar.update(done=lines[-1]["step"] + 1, note=_note(StepReport(**lines[-1]), replicate))


def _blame(context: StageContext, replicate: Replicate, failure: dict[str, Any]) -> str:
    """The failure's message with the documents that the step's samples hold."""
    (replicate.folder / FAILURE).unlink()
    sampler = Sampler(replicate.segments)
    start = sampler.segment_at(failure["step"]).position(failure["step"])
    streams, samples = sampler.samples_at(failure["step"])
    tokens = context.upstream(context.inputs["shards"], "tokens")
    spans = read_table(*context.table_url(tokens, "spans"))
    length = context.inputs["shards"].metrics["sequence_length"]
    named = []
    for position in failure["samples"][:4]:
        stream, sample = sampler.streams[streams[position - start]], int(samples[position - start])
        own = spans.filter(pc.equal(spans["stream"], stream))
        named += documents_of_sample(own, sample, length)["doc_id"].to_pylist()
    return f"{context.stage.asset}: {failure['message']} Documents: {', '.join(dict.fromkeys(named))}."


def _files(folder: Path, replicates: list[Replicate]) -> dict[str, str]:
    found = {}
    for replicate in replicates:
        states = [place(replicate.folder / STATE, replicate.recipe.steps)]
        states += [place(replicate.folder / name, step) for name, step in stops(replicate)]
        for path in sorted(path for state in states for path in state.iterdir()):
            found[path.relative_to(folder).as_posix()] = sha256_of(path)
    return found
