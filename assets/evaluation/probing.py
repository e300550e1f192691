"""evaluation by probes: each replicate of a checkpoint through the same examples, probe by probe.

A probe learns from the training stream and is scored on the held-out one. The examples are the same for every seed and
for every arm that names the same shards; the seed of a replicate is also that of its probes.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headwater.assets.context import StageContext, StageError
from headwater.assets.evaluation.probe_options import AFTER, RAW_SEEDS, ProbingOptions
from headwater.assets.evaluation.probe_tables import describe_probes
from headwater.assets.evaluation.raw_features import RawFeatures
from headwater.assets.fitting.stage import open_tokenizer
from headwater.assets.sharding.examples.index import ExampleIndex
from headwater.assets.sharding.examples.loader import as_tensor
from headwater.assets.sharding.examples.reader import ExampleReader, open_reader
from headwater.assets.sharding.examples.scales import facts_of
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import Record
from headwater.assets.training.checkpoints import open_network
from headwater.assets.training.promotion import current_checkpoint
from headwater.models.probes.options import ProbeOptions
from headwater.models.views.offers import offered
from headwater.models.views.pipeline import Views

REPORT = "probes.json"
_VIEW_SEED = 0  # of what views draw: the same for every arm, so that arms are measured on the same pictures
_TEST_SAMPLES = 1 << 40  # held-out examples are numbered from here: no draw is shared with a training example
_AT_ONCE = 1024  # examples that pass the views together; it bounds memory, not the result

Fields = dict[str, Tensor]


def materialize_probes(context: StageContext) -> Outcome:
    """Measures every replicate by every probe.

    Raises:
        StageError: the shards hold no examples, or lack a stream or a field that a probe needs.
    """
    options: ProbingOptions = context.stage.options  # type: ignore[assignment]
    reader = _reader(context)
    facts = facts_of(reader)
    options = options.model_copy(update={"views": [one.fitted_to(facts) for one in options.views]})
    probes = _probes(context, options, reader.index, facts)
    train, test = (_examples(context, options, reader, held_out) for held_out in (False, True))
    checkpoint = _checkpoint(context)
    seeds, states = _seeds(options, checkpoint), _states(context, options, checkpoint)
    measured: dict[str, dict[str, float]] = {}
    parameters = 0
    with context.progress(len(seeds) * len(states) * len(probes), "probes") as bar:
        for seed, state in itertools.product(seeds, states):
            model = (
                RawFeatures(facts) if checkpoint is None else open_network(context.store, checkpoint, seed, step=state)
            )
            parameters = _parameters(model)
            own = measured.setdefault(str(seed), {})
            for name, probe in probes.items():
                bar.advance(0, note=f"seed {seed} {name}{states[state]}")
                found = probe.build().measure(model, train, test, seed)
                own |= {f"{name}/{figure}{states[state]}": float(value) for figure, value in found.items()}
                bar.advance(1)
    sizes = {"train_examples": _count(train), "test_examples": _count(test), "parameters": parameters}
    return _outcome(context, options, measured, sizes)


def _probes(
    context: StageContext, options: ProbingOptions, index: ExampleIndex, facts: Mapping[str, Any]
) -> dict[str, ProbeOptions]:
    """The probes with sizes from the data, and with token ids for what they say in words."""
    shards = context.inputs["shards"]
    words: tuple[Callable[[str], list[int]] | None, int | None] = (None, None)
    if "tokenizer" in shards.identity.inputs:
        tokenizer = open_tokenizer(context, context.upstream(shards, "tokenizer"))
        words = (tokenizer.encode, tokenizer.end_of_text_id)
    categories = {field.name: field.categories for field in index.fields if field.categories is not None}
    try:
        return {name: probe.fitted_to(facts).worded(categories, *words) for name, probe in options.probes.items()}
    except ValueError as error:
        raise StageError(f"{context.stage.asset}: {error}.") from error


def _states(context: StageContext, options: ProbingOptions, checkpoint: Record | None) -> dict[int | None, str]:
    """The states of a checkpoint that are measured: step → what follows the names of its figures; None: the last."""
    if checkpoint is None or not options.milestones:
        return {None: ""}
    steps = checkpoint.identity.options.get("milestones", [])
    if not steps:
        raise StageError(
            f"{context.stage.asset}: milestones are to be measured, and {checkpoint.asset} kept none. Say "
            "`milestones: [step, …]` in the Training."
        )
    batch = int(checkpoint.metrics["batch_size"])
    return {step: f"{AFTER}{step * batch}" for step in steps} | {None: ""}


def _reader(context: StageContext) -> ExampleReader:
    shards = context.inputs["shards"]
    reader = open_reader(context.store.place(shards.asset).folder(shards.digest))
    if not isinstance(reader, ExampleReader):
        raise StageError(
            f"{context.stage.asset}: {shards.asset} holds packed tokens; probes need examples. Give the Shards "
            "`examples: {fields: …}`."
        )
    return reader


def _examples(context: StageContext, options: ProbingOptions, reader: ExampleReader, held_out: bool) -> Fields:
    """All examples of the streams that are asked for, as the views leave them."""
    named, end = (options.test, "-held_out") if held_out else (options.train, "-train")
    streams = named or [name for name in reader.streams if name.endswith(end)]
    missing = [name for name in streams if not reader.streams.get(name)]
    if missing or not streams:
        what = f"no examples in {', '.join(missing)}" if missing else f"no stream that ends with {end}"
        option, there = "test" if held_out else "train", ", ".join(reader.streams)
        raise StageError(
            f"{context.stage.asset}: {context.inputs['shards'].asset} has {what}; its streams: {there}. "
            f"Name others in `{option}`, or hold out another share."
        )
    _refuse_missing_fields(context, options, reader)
    fields = _joined([reader.everything(name) for name in streams])
    count = _count(fields)
    fields["sample"] = torch.arange(count) + (_TEST_SAMPLES if held_out else 0)
    return _viewed(fields, options) if options.views else fields


def _refuse_missing_fields(context: StageContext, options: ProbingOptions, reader: ExampleReader) -> None:
    try:
        there = offered(frozenset(reader.fields) | {"sample", "index"}, options.views)
    except ValueError as error:
        raise StageError(f"{context.stage.asset}: {error}.") from error
    for name, probe in options.probes.items():
        if missing := sorted(probe.needs() - there):
            raise StageError(
                f"{context.stage.asset}: the probe '{name}' needs {', '.join(missing)}; the examples have "
                f"{', '.join(sorted(there))}. Add the field to `examples` of the Shards, or a view that gives it."
            )


def _joined(streams: Sequence[dict[str, np.ndarray]]) -> Fields:
    names = set.intersection(*(set(fields) for fields in streams))
    return {name: torch.cat([as_tensor(fields[name]) for fields in streams]) for name in sorted(names)}


def _viewed(fields: Fields, options: ProbingOptions) -> Fields:
    views = Views(options.views, _VIEW_SEED)
    pieces = [
        views({name: values[start : start + _AT_ONCE] for name, values in fields.items()})
        for start in range(0, _count(fields), _AT_ONCE)
    ]
    return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}


def _count(fields: Fields) -> int:
    return len(next(iter(fields.values())))


def _checkpoint(context: StageContext) -> Record | None:
    record = context.inputs.get("checkpoint")
    return None if record is None else current_checkpoint(context.store, record)


def _seeds(options: ProbingOptions, checkpoint: Record | None) -> list[int]:
    if checkpoint is None:
        return options.seeds or list(RAW_SEEDS)
    return list(checkpoint.identity.options.get("seeds") or checkpoint.metrics["seeds"])


def _parameters(model: Any) -> int:
    return 0 if isinstance(model, RawFeatures) else sum(each.numel() for each in model.network.parameters())


def _outcome(
    context: StageContext, options: ProbingOptions, measured: dict[str, dict[str, float]], sizes: dict[str, int]
) -> Outcome:
    finite = {s: {name: v for name, v in own.items() if math.isfinite(v)} for s, own in measured.items()}
    broken = [f"{name} of seed {s}" for s, own in measured.items() for name in own if name not in finite[s]]
    inputs = {role: record.content_version for role, record in context.inputs.items()}
    outcome = Outcome(metrics={"measured": finite} | sizes)
    for seed, own in finite.items():
        text = json.dumps({"of": inputs, **sizes, "figures": own}, indent=1, sort_keys=True, allow_nan=False) + "\n"
        name = f"seed_{seed}/{REPORT}"
        context.place.write_text(f"{context.place.folder(context.identity)}/{name}", text)
        outcome.files[name] = hashlib.sha256(text.encode()).hexdigest()
    describe_probes(outcome, options, finite, broken)
    return outcome
