"""current: which checkpoint of a training is the one to use, and the chain of events that led there.

A new checkpoint is a candidate. It becomes current when its blocking checks passed and it is not worse than the current
one beyond stated bounds, on the same held-out documents; otherwise the former one stays, and the record says why. A
person can promote a candidate in spite of that, or go back to a former checkpoint; both stand until a *new* checkpoint
comes, which is then compared with what is current by that time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from headwater.assets.context import StageContext, StageError
from headwater.assets.markdown import markdown_table
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.training.options import PromoteOptions

RULE = "the promotion rule"  # who decided, when no person did
Action = Literal["promoted", "blocked", "restored"]


class Event(NamedTuple):
    """One decision: about which checkpoint, and which one was current before it."""

    action: Action
    checkpoint: str  # identity
    former: str | None
    reason: str
    by: str
    at: str

    @property
    def current(self) -> str | None:
        """Which checkpoint was current after it."""
        return self.former if self.action == "blocked" else self.checkpoint


def chain_of(record: Record | None) -> list[Event]:
    """The events that a record of ``current`` holds, the oldest first."""
    return [Event(**event) for event in record.metrics["chain"]] if record else []


def current_checkpoint(store: Store, record: Record) -> Record:
    """The checkpoint that a record of ``current`` names; any other record is returned as it is.

    Raises:
        StageError: none was ever promoted, or the history lacks it.
    """
    if not record.asset.endswith("/current"):
        return record
    digest = record.metrics["checkpoint"]
    if digest is None:
        raise StageError(f"{record.asset}: no checkpoint was promoted so far: {record.checks[0].description}")
    return _checkpoint(store, record.asset.removesuffix("/current"), digest)


def materialize_current(context: StageContext) -> Outcome:
    """Decides on the latest checkpoint; what was decided on it before stands."""
    candidate = context.inputs["checkpoint"]
    chain = chain_of(context.place.record())
    former = chain[-1].current if chain else None
    tables: dict[str, str] = {}
    if candidate.digest != former:
        standing = _rolled_back(chain, candidate.digest)
        reasons = [standing] if standing else _failed_checks(candidate)
        words = "the first checkpoint"
        if former and not reasons:
            words, reasons, tables = _compared(context, candidate, former)
        action: Action = "blocked" if reasons else "promoted"
        chain.append(Event(action, candidate.digest, former, "; ".join(reasons) or words, RULE, _now()))
    return _outcome(context.store, context.stage.name, candidate.digest, chain, tables)


def _failed_checks(candidate: Record) -> list[str]:
    failed = [check for check in candidate.checks if check.blocking and not check.passed]
    return [f"its check {check.name} failed: {check.description}" for check in failed]


def _rolled_back(chain: Sequence[Event], candidate: str) -> str | None:
    """Why a checkpoint that someone took back is not promoted again by itself."""
    for event in reversed(chain):
        if event.checkpoint == candidate and event.action == "promoted":
            return None
        if event.former == candidate and event.action == "restored":
            return f"{event.by} went back from it on {event.at[:10]}: {event.reason}"
    return None


def _compared(context: StageContext, candidate: Record, former: str) -> tuple[str, list[str], dict[str, str]]:
    """(what the comparison showed, why the candidate is refused, tables for the page)."""
    from headwater.assets.training.comparing import PRESENT, differences  # loads torch, which the commands do not need

    options: PromoteOptions = context.stage.options  # type: ignore[assignment]
    current = _checkpoint(context.store, context.stage.name, former)
    bounds = {True: ("max_worse", options.max_worse), False: ("max_forgetting", options.max_forgetting)}
    words, refused, rows = [], [], []
    for found in differences(context, options, candidate, current):
        name, bound = bounds[found.which == PRESENT]
        count = "1 document" if found.documents == 1 else f"{found.documents} documents"
        where = f"the {found.which} held-out set ({count})"
        if found.which != PRESENT and not found.documents:
            words.append("the older held-out set was removed: what it forgot of it cannot be told")
        elif found.worse is None:
            refused.append(f"no finite figure came out on {where}: hold out more, or look at the candidate's weights")
        else:
            spread = f" ({found.interval.low:+.4f} to {found.interval.high:+.4f})" if found.interval else ""
            words.append(f"{found.worse:+.4f}{spread} bits per byte on {where}")
            if found.worse > bound:
                refused.append(f"{words[-1]}, more than {name} {bound:g} allows")
        figures = [found.candidate, found.current, found.worse]
        rows.append([found.which, found.documents, *(None if f is None else f"{f:.4f}" for f in figures), bound])
    models = [f"candidate {candidate.digest[:8]}", f"current {former[:8]}"]
    header = ["held-out set", "documents", *models, "worse", "at most"]
    return "; ".join(words), refused, {"comparison in bits per byte": markdown_table(header, rows)}


def _outcome(store: Store, name: str, candidate: str, chain: Sequence[Event], tables: dict[str, str]) -> Outcome:
    current = chain[-1].current
    content = _checkpoint(store, name, current).content_version if current else digest_of(None)
    return Outcome(content=content, **_shown(candidate, chain, tables))


def _shown(candidate: str, chain: Sequence[Event], tables: dict[str, str]) -> dict[str, Any]:
    """What a record says of a chain: figures, the check, and the chain as a table."""
    last = chain[-1]
    check = CheckRecord(
        name="promotion",
        passed=last.current == candidate,
        blocking=False,
        description=f"Checkpoint {last.checkpoint[:8]} was {last.action} by {last.by}: {last.reason.rstrip('.')}.",
    )
    return {
        "metrics": {"checkpoint": last.current, "candidate": candidate, "chain": [event._asdict() for event in chain]},
        "checks": [check],
        "markdown": tables | {"chain": chain_table(chain)},
    }


def chain_table(chain: Sequence[Event]) -> str:
    """The events as a Markdown table, the latest first."""
    rows = [
        [event.at[:16].replace("T", " "), event.checkpoint[:8], event.action, event.by, event.reason]
        for event in reversed(chain)
    ]
    return markdown_table(["when (UTC)", "checkpoint", "was", "by", "because"], rows)


def promote_by_hand(store: Store, name: str, reason: str, by: str) -> Event:
    """Makes the latest checkpoint current, whatever the comparison said.

    Raises:
        StageError: there is no decision to overrule, or it is current already.
        StoreError: a run is writing the asset.
    """
    place = store.place(f"{name}/current")
    with place.lease():
        record, latest = _decided(place), store.place(f"{name}/checkpoint").record()
        if latest is None or latest.digest != record.metrics["candidate"]:
            raise StageError(f"{place.asset} has not seen the latest checkpoint; materialize it first.")
        former = record.metrics["checkpoint"]
        if latest.digest == former:
            raise StageError(f"{name}: the latest checkpoint, {former[:8]}, is current already.")
        return _publish(store, place, record, Event("promoted", latest.digest, former, reason, by, _now()))


def roll_back(store: Store, name: str, to: str | None, reason: str, by: str) -> Event:
    """Makes a former checkpoint current again: the one before, or the one whose identity begins with ``to``.

    Raises:
        StageError: there is none, or its files were removed.
        StoreError: a run is writing the asset.
    """
    place = store.place(f"{name}/current")
    with place.lease():
        record = _decided(place)
        target = _target(name, chain_of(record), to)
        checkpoint = _checkpoint(store, name, target)
        if lost := store.place(checkpoint.asset).lost(checkpoint):
            raise StageError(f"{checkpoint.asset} {target[:8]} cannot come back: {lost[0]} was removed.")
        event = Event("restored", target, record.metrics["checkpoint"], reason, by, _now())
        return _publish(store, place, record, event)


def _target(name: str, chain: Sequence[Event], to: str | None) -> str:
    current = chain[-1].current
    if to is None:
        first = next((event for event in chain if event.current == current), None)
        if current is None or first is None or first.former is None:
            raise StageError(f"{name}: there is no checkpoint before the current one to go back to.")
        return first.former
    once = dict.fromkeys(event.current for event in chain if event.current and event.current != current)
    found = [digest for digest in once if digest.startswith(to.lower())]
    if len(found) != 1:
        known = ", ".join(digest[:8] for digest in once) or "none"
        raise StageError(f"{name}: '{to}' names {len(found)} of the former current checkpoints; there are: {known}.")
    return found[0]


def _decided(place: Place) -> Record:
    record = place.record()
    if record is None:
        raise StageError(
            f"There is no record of {place.asset}. Declare `promote:` in the Training, and materialize it first."
        )
    return record


def _publish(store: Store, place: Place, record: Record, event: Event) -> Event:
    """A record of its own for a decision by hand: what consumed the one before still finds it."""
    chain = [*chain_of(record), event]
    shown = _shown(record.metrics["candidate"], chain, {k: v for k, v in record.markdown.items() if k != "chain"})
    content = _checkpoint(store, place.asset.removesuffix("/current"), event.checkpoint).content_version
    identity = record.identity.model_copy(update={"base": digest_of(shown["metrics"]["chain"])})
    place.publish(record.model_copy(update={"identity": identity, "content_version": content, **shown}))
    return event


def _checkpoint(store: Store, name: str, digest: str) -> Record:
    found = store.place(f"{name}/checkpoint").record(digest)
    if found is None:
        raise StageError(f"The history of {name}/checkpoint lacks {digest[:8]}; roll back to another, or promote anew.")
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
