"""The table of measurements on the page of signals: of all documents, or of some drawn from many."""

import pytest
from small_pipelines import Lab, notes, prose

from headwater.assets.curation import stage


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A function that measures so many documents and gives the record of signals."""
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    lab = Lab(tmp_path / "workspace", tmp_path / "store")

    def of(numbers):
        for path in (lab.root / "files").glob("*"):
            if int(path.stem) not in numbers:
                path.unlink()
        for number in numbers:
            if not (lab.root / f"files/{number}.jsonl").exists():
                lab.write_jsonl(f"files/{number}.jsonl", [{"text": prose(number, 5 + number % 40)}])
        lab.run(notes(path="files/*.jsonl"), until="signals")
        return lab.record("notes/signals")

    return of


def test_what_was_drawn_is_told_until_one_in_twenty_documents_is_another(measured, monkeypatch):
    monkeypatch.setattr(stage, "SUMMARISED", 48)
    first = measured(range(200))
    assert "drawn from 200." in first.markdown["measurements"]
    assert first.metrics[stage.SINCE] == 0
    second = measured(range(3, 205))  # three went and five came
    assert second.metrics["documents_measured"] == 5
    assert (second.markdown, second.metrics[stage.SINCE]) == (first.markdown, 5)
    third = measured(range(3, 211))  # with these six it is more than one in twenty
    assert "drawn from 208." in third.markdown["measurements"]
    assert third.metrics[stage.SINCE] == 0


def test_a_corpus_that_becomes_large_is_drawn_from(measured, monkeypatch):
    monkeypatch.setattr(stage, "SUMMARISED", 48)
    assert "drawn from" not in measured(range(48)).markdown["measurements"]
    assert "drawn from 49." in measured(range(49)).markdown["measurements"]


def test_of_few_documents_all_are_told_every_time(measured):
    told = [measured(range(count)).markdown["measurements"] for count in (200, 201)]
    assert "drawn from" not in told[0]
    assert told[0] != told[1]
