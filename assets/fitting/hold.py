"""A tokenizer stays although its corpus changed: shards and weights rest on its ids, so a refit is a declared act.

One change of the corpus is followed all the same: another choice of what is held out. A tokenizer that was fitted on
documents which are held out now would know what it is to be tested on.
"""

from typing import Any

from headwater.assets.context import StageError, consumed_record
from headwater.assets.fitting.declaration import FitStageOptions
from headwater.assets.stages import Stage
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Identity, Record


def hold_tokenizer(stage: Stage, store: Store, current: Record, wanted: Identity) -> str | None:
    """Why the tokenizer stays; None when it follows its corpus, or when more than the documents changed."""
    options: FitStageOptions = stage.options  # type: ignore[assignment]
    own = current.identity.inputs
    others = [role for role in wanted.inputs if role != "corpus"]
    if options.refit.when == "content" or any(
        role not in own or own[role].content != wanted.inputs[role].content for role in others
    ):
        return None
    now = store.place(stage.inputs["corpus"]).record(wanted.inputs["corpus"].identity)
    try:
        if now is None or _held_out(store, now) != _held_out(store, consumed_record(store, current, "corpus")):
            return None
    except StageError:  # the history no longer tells; a fit on the present corpus is sure to be right
        return None
    return (
        f"{stage.asset} stays: only the documents of its corpus changed. To fit it again raise `refit.edition`, "
        "or say `refit: {when: content}`."
    )


def _held_out(store: Store, record: Record) -> Any:
    """What the corpus behind a record says of held-out documents."""
    while record.asset.split("/")[1] != "raw":
        record = consumed_record(store, record, next(iter(record.identity.options["_inputs"])))
    return record.identity.options["held_out"]
