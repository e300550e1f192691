"""The withdrawals as Dagster shows them: an asset that nobody materializes, upstream of every `raw`.

`headwater withdraw` reports to Dagster what it did, so that what reads the withdrawals turns stale (or is requested by
its automation), and the check of every checkpoint that saw a withdrawn document fails at once.
"""

import dagster as dg

from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.withdrawal.blocklist import ASSET

KEY = dg.AssetKey(ASSET.split("/"))


def withdrawals_asset() -> dg.AssetSpec:
    """The asset; its events come from the command line."""
    return dg.AssetSpec(
        key=KEY,
        group_name="headwater",
        kinds={"lance"},
        description="What was withdrawn, when, by whom and why; `raw` never delivers it again (headwater withdraw).",
    )


def report_withdrawal(instance: dg.DagsterInstance, store: Store, record: Record) -> None:
    """Tells Dagster of a withdrawal and of every current checkpoint that it touches."""
    from headwater.assets.lineage.history import checkpoints, records_of
    from headwater.assets.withdrawal.status import withdrawal_check

    metadata = {title: dg.MetadataValue.md(text) for title, text in record.markdown.items()}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=KEY,
            metadata=metadata
            | {"documents": record.metrics["documents"], "withdrawals": record.metrics["withdrawals"]},
            tags={"dagster/data_version": record.content_version},
        )
    )
    for checkpoint in checkpoints(records_of(store)):
        instance.report_runless_asset_event(_evaluation(checkpoint.asset, withdrawal_check(store, checkpoint)))


def _evaluation(asset: str, check: CheckRecord) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset.split("/")),
        check_name=check.name,
        passed=check.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=check.description,
        metadata={
            name: dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.json(value)
            for name, value in check.metadata.items()
        },
    )
