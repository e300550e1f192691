"""Whether a checkpoint follows its refreshed shards now or waits: the rule of ``retrain.when``, with its reason."""

from datetime import UTC, datetime

from headwater.assets.context import StageError, consumed_record
from headwater.assets.stages import Stage
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Identity, Record, pinned
from headwater.assets.training.cron import parse_cron
from headwater.assets.training.declaration import TrainingOptions
from headwater.assets.training.growth import new_training_tokens


def reason_to_wait(stage: Stage, store: Store, current: Record, wanted: Identity) -> str | None:
    """Why the checkpoint stays although its shards changed; None when it is due, or when more than shards changed."""
    options: TrainingOptions = stage.options  # type: ignore[assignment]
    if options.retrain is None or _outside(current.identity) != _outside(wanted):
        return None
    when = options.retrain.when
    news, share = _news(stage, store, current, wanted)
    if when.new_tokens_share is not None and share is not None and share >= when.new_tokens_share:
        return None
    waits = [] if when.new_tokens_share is None else [f"at {_percent(when.new_tokens_share)}"]
    if when.cron is not None:
        due = parse_cron(when.cron).next_after(datetime.fromisoformat(current.execution.started))
        if datetime.now(UTC) >= due:
            return None
        waits.append(f"at the first materialization after {due:%Y-%m-%d %H:%M} UTC")
    by_hand = f"with `headwater materialize {stage.name} --force`"
    return f"{news}; retrain {' or '.join(waits) or 'by hand'}{', or' if waits else ''} {by_hand}"


def _outside(identity: Identity) -> str | None:
    found = identity.inputs.get("outside")
    return found.content if found else None


def _news(stage: Stage, store: Store, current: Record, wanted: Identity) -> tuple[str, float | None]:
    """How much is new, in words and as a share of what was trained on (None: it cannot be told)."""
    consumed = wanted.inputs["shards"]
    newer = store.place(stage.inputs["shards"]).record(consumed.identity)
    try:
        if newer is None:
            raise StageError(f"the history of {stage.inputs['shards']} lacks its current record")
        older = consumed_record(store, current, "shards")
        new, had = new_training_tokens(store, older, pinned(newer, consumed.tables))
    except (StageError, FileNotFoundError) as error:
        return f"how many tokens are new cannot be told ({str(error).rstrip('.')})", None
    share = new / had if had else float("inf")
    return f"{new:,} new tokens are {_percent(share)} of those trained on", share


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
