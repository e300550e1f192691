"""What to do about an output that still holds withdrawn documents: refresh it, or where that cannot be, discard it.

A refresh is blocked where a check of something upstream fails: a source without documents, a rule that keeps none. It
may be impossible too, as nothing can be fitted to no text. Such an output keeps its last content, withdrawn texts
included, until it is taken away as a whole.
"""

from collections.abc import Iterable

from headwater.assets.storage.places import Store


def blocked_by(store: Store, asset: str) -> str | None:
    """The failing check upstream of an output for which no run refreshes it; None where there is none."""
    pending, seen = [asset], {asset}
    while pending:
        record = store.place(pending.pop()).record()
        if record is None:
            continue
        for check in record.checks if record.asset != asset else []:
            if check.blocking and not check.passed:
                return f"the check {check.name} of {record.asset} fails: {check.description}"
        upstream = [other for other in record.identity.options.get("_inputs", {}).values() if other not in seen]
        seen |= set(upstream)
        pending += upstream
    return None


def discard_command(assets: Iterable[str]) -> str:
    """The command that takes outputs away."""
    return f"headwater discard {' '.join(sorted(assets))} --reason '…'"


def advice(store: Store, holding: Iterable[str]) -> list[str]:
    """What to do about outputs whose current content holds withdrawn documents, in sentences."""
    why = {asset: blocked_by(store, asset) for asset in sorted(holding)}
    blocked = [asset for asset, reason in why.items() if reason]
    others = [asset for asset, reason in why.items() if not reason]
    said = [f"{asset} cannot be refreshed, as {reason}" for asset, reason in why.items() if reason]
    if blocked:
        said.append(f"Mend that and materialize, or take away what cannot be refreshed: {discard_command(blocked)}")
    if others:
        said.append(f"Materialize {', '.join(others)}; where that cannot be done: {discard_command(others)}")
    return said
