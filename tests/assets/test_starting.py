"""What a process loads: looking at records and doing a worker's part need neither Dagster nor torch."""

import subprocess
import sys

import pytest
from small_pipelines import bytes_tokenizer, notes, packed, plant, stages_of

import headwater.assets
from headwater.assets.corpus import outside
from headwater.assets.running import wanted_identity

HEAVY = ("dagster", "torch", "numba", "ray", "matplotlib")


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a process of its own has loaded at the end."""
    code = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("headwater.assets", set()),
        ("headwater.assets.command_line.main", set()),
        ("headwater.assets.command_line.inspect", set()),
        ("headwater.assets.command_line.trace_print", set()),
        ("headwater.assets.running", set()),
        ("headwater.assets.corpus.outside", set()),
        ("headwater.assets.fitting.outside", set()),
        ("headwater.assets.curation.outside", set()),
        ("headwater.assets.deduplication.outside", set()),
        ("headwater.assets.training.outside", set()),
        ("headwater.assets.curation.stage", {"numba"}),
        ("headwater.assets.deduplication.stage", {"numba"}),
        ("headwater.assets.tokenization.stage", {"numba"}),
    ],
)
def test_what_a_module_brings(module, allowed):
    assert loaded_by(f"import {module}") <= allowed


def test_kinds_are_there_when_asked_for_and_known_to_whoever_lists_them():
    for name in headwater.assets.__all__:
        assert name in dir(headwater.assets)
        assert getattr(headwater.assets, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Corpsu'"):
        headwater.assets.Corpsu  # noqa: B018


def test_the_run_works_on_the_listing_that_its_identity_was_made_of(lab, monkeypatch):
    listings = []
    listed = outside.list_files
    monkeypatch.setattr(outside, "list_files", lambda *given: listings.append(1) or listed(*given))
    plant(lab, 8)
    lab.run(notes(), until="raw")
    assert len(listings) == 1
    for each in stages_of(notes(), bytes_tokenizer(), packed())[:1]:
        assert lab.record("notes/raw").serves(wanted_identity(each, lab.store, lab.workspace))
    assert len(listings) == 2
