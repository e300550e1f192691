"""What a materialization would recompute, and why: inputs, options, code, or what lies outside the graph."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headwater.assets.running import StageError, earlier_output, reason_to_hold, wanted_identity
from headwater.assets.stages import Stage, in_order
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Identity, Record
from headwater.assets.workspace import Workspace


@dataclass
class Planned:
    """One asset's outlook: what will be done, why, and the record that is there (or comes back).

    ``reuse``: nothing changed; ``restore``: an earlier output comes back; ``compute``: it is made; ``maybe``: an input
    is made, and only if its content differs is this.
    """

    asset: str
    action: str
    reasons: list[str] = field(default_factory=list)
    last: Record | None = None


def plan(stages: Sequence[Stage], store: Store, workspace: Workspace) -> list[Planned]:
    """The outlook of every stage, inputs first."""
    found: dict[str, Planned] = {}
    for stage in in_order(stages):
        found[stage.asset] = _plan_one(stage, store, workspace, found)
    return list(found.values())


def _plan_one(stage: Stage, store: Store, workspace: Workspace, earlier: dict[str, Planned]) -> Planned:
    last = store.place(stage.asset).record()
    waiting = [a for a in stage.inputs.values() if a in earlier and earlier[a].action in ("compute", "maybe")]
    coming = {asset: item.last for asset, item in earlier.items() if item.action == "restore" and item.last}
    try:
        wanted = wanted_identity(stage, store, workspace, coming)
    except StageError:
        missing = [asset for asset in stage.inputs.values() if store.place(asset).record() is None]
        return Planned(stage.asset, "compute", ["never materialized", *(f"waits for {m}" for m in missing)], last)
    if last is None:
        return Planned(stage.asset, "compute", ["never materialized"], last)
    lost = [f"its output was removed: {name}" for name in store.place(stage.asset).lost(last)]
    reasons = lost if last.serves(wanted) else differences(last.identity, wanted)
    back = earlier_output(store.place(stage.asset), wanted) if stage.restores and not lost and not waiting else None
    if reasons and back:
        return Planned(stage.asset, "restore", [*reasons, "its earlier output is still there"], back)
    if reasons and not lost and (held := reason_to_hold(stage, store, last, wanted)):
        return Planned(stage.asset, "reuse", [held], last)
    if reasons:
        if not lost and not last.same_recipe(wanted) and last.same_recipe(wanted, stage.limits):
            reasons.append("a limit of its checks: the rest is built on what is there")
        return Planned(stage.asset, "compute", reasons, last)
    if waiting:
        return Planned(stage.asset, "maybe", [f"only if the content of {asset} changes" for asset in waiting], last)
    return Planned(stage.asset, "reuse", [], last)


def differences(last: Identity, wanted: Identity) -> list[str]:
    """Why two identities differ, in words."""
    reasons = []
    for role in sorted(last.inputs.keys() | wanted.inputs.keys()):
        before, now = last.inputs.get(role), wanted.inputs.get(role)
        if before is None or now is None or before.content != now.content:
            what = "what lies outside (files, lists)" if role == "outside" else f"input {role}"
            reasons.append(f"{what} changed")
    reasons += [f"option {path}: {old!r} → {new!r}" for path, old, new in changed_values(last.options, wanted.options)]
    if last.code.number != wanted.code.number:
        reasons.append(f"code: step {last.code.number} → {wanted.code.number}")
    elif last.code.modules != wanted.code.modules:
        reasons.append("code: its modules were edited (`headwater accept` if the edit is equivalent)")
    for name in sorted(last.code.libraries.keys() | wanted.code.libraries.keys()):
        before_version, version = last.code.libraries.get(name), wanted.code.libraries.get(name)
        if before_version != version:
            reasons.append(f"library {name}: {before_version} → {version}")
    return reasons


def changed_values(before: Any, after: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(path, old, new) of every leaf that differs between two JSON values."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [c for k in keys for c in changed_values(before.get(k), after.get(k), f"{path}.{k}" if path else k)]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [change for n, (b, a) in pairs for change in changed_values(b, a, f"{path}[{n}]")]
    return [] if before == after else [(path, before, after)]
