"""Whether the networks that are merged come from one: means of weights make sense along a common way alone.

Networks trained from different first weights lie in different valleys of the loss, and their mean is mostly a worse
network (Frankle et al. 2020, arXiv:1912.05671; Wortsman et al. 2022, "Model soups", arXiv:2203.05482). It is no
error, as one may want to see just that; but it should not happen unseen.
"""

import json
from collections.abc import Sequence

from headwater.assets.context import consumed_record
from headwater.assets.merging.declaration import CHECK, MEANING
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.training.networks import backbone_of
from headwater.assets.training.promotion import current_checkpoint


def common_start(store: Store, records: Sequence[Record], seeds: Sequence[int]) -> CheckRecord:
    """Passed when for every seed some network lies behind all the checkpoints; one checkpoint alone always passes."""
    apart = [
        seed
        for seed in seeds
        if len(records) > 1 and not set.intersection(*(_behind(store, record, seed) for record in records))
    ]
    said = MEANING
    if apart:
        said = (
            f"Nothing lies behind all of {', '.join(record.asset for record in records)} for seed "
            f"{', '.join(map(str, apart))}: they were trained from different first weights, and merging such networks "
            "mostly gives a worse one. Train them with `init:` from the same checkpoint."
        )
    return CheckRecord(name=CHECK, passed=not apart, blocking=False, description=said)


def _behind(store: Store, record: Record, seed: int) -> set[str]:
    """The checkpoint of a replicate, all that it started from or was merged of, and what those began with."""
    record = current_checkpoint(store, record)
    seeds = record.identity.options.get("seeds") or record.metrics["seeds"]
    own = seed if seed in seeds else seeds[0]
    found = {f"{record.digest} {own}"}
    roles = [role for role in record.identity.inputs if role == "init" or role.startswith("checkpoint:")]
    for role in roles:
        found |= _behind(store, consumed_record(store, record, role), seed)
    if not roles:
        outside = record.identity.inputs.get("outside")  # the hash of a Hugging Face folder, where it began with one
        network = json.dumps(backbone_of(record).model_dump(mode="json"), sort_keys=True)
        found.add(f"weights {outside.content}" if outside and outside.content else f"drawn {own} {network}")
    return found
