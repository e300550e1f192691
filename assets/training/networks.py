"""Which network a checkpoint is of, as its record tells: its options, and the code it is built of. No torch here."""

from collections.abc import Mapping

from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.training.parts import BACKBONES, OBJECTIVES
from headwater.assets.training.promotion import current_checkpoint
from headwater.models.backbones.options import BackboneOptions
from headwater.models.discovery import read
from headwater.models.objectives.options import ObjectiveOptions


def backbone_of(record: Record) -> BackboneOptions:
    """The network of a checkpoint, all sizes resolved. (Records once knew decoders alone, under that name.)"""
    values = record.metrics.get("backbone") or record.metrics["decoder"]
    found: BackboneOptions = read(values, BACKBONES, BackboneOptions)
    return found


def objectives_of(record: Record) -> dict[str, ObjectiveOptions]:
    """What a checkpoint was trained by; nothing where it was merged."""
    objectives = record.metrics.get("objectives", {"": {"kind": "next_token"}} if record.kind == "Training" else {})
    return {name: read(values, OBJECTIVES, ObjectiveOptions) for name, values in objectives.items()}


def network_modules(store: Store, inputs: Mapping[str, Record]) -> tuple[str, ...]:
    """The modules of the network and the heads of the input `checkpoint`, for what runs them; none without one."""
    if "checkpoint" not in inputs:
        return ()
    record = current_checkpoint(store, inputs["checkpoint"])
    parts = (backbone_of(record), *objectives_of(record).values())
    return tuple(dict.fromkeys(module for part in parts for module in part.modules))
