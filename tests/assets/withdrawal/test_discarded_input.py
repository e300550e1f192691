"""An input that was discarded and made anew with the same content: what is joined to it by position follows."""

from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant

from headwater.assets.withdrawal.discarding import discard


def test_what_was_joined_to_a_discarded_output_is_made_anew(lab: Lab) -> None:
    plant(lab, 20)
    components = [notes(), bytes_tokenizer(), packed()]
    lab.run(*components)
    before = {asset: lab.record(asset).content_version for asset in lab.store.assets()}
    discard_signals(lab)
    assert lab.store.place("notes/signals").record() is None
    results = lab.run(*components)
    assert not results["notes/curated"].reused, "its decisions were joined to tables that are gone"
    assert {asset: lab.record(asset).content_version for asset in before} == before
    plant(lab, 24)
    lab.run(*components)
    assert len(lab.table("packed/tokens", "spans")) > 0
    assert lab.record("notes/signals").metrics["documents_measured"] == 4


def discard_signals(lab: Lab) -> None:
    discard(lab.store, ["notes/signals"], "a test", "nobody")
