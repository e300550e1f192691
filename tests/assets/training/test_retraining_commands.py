"""What the commands say and do around retraining: forcing, the outlook, and the line of an asset that waits."""

import os

import pytest
from retraining_cases import continued, data, refresh, train
from small_pipelines import plant, stages_of

from headwater.assets.command_line import materialize
from headwater.assets.command_line.errors import CommandError
from headwater.assets.lineage.plan import plan
from headwater.assets.running import FORCE, run_stage


def test_a_whole_pipeline_is_not_forced():
    stages = stages_of(continued(promote={}), continued(promote={}).__class__(name="other", shards="packed"))
    with pytest.raises(CommandError, match=r"'small' is a pipeline\. Of it can wait: tiny/checkpoint\."):
        materialize._refuse_to_force_all("small", stages)
    materialize._refuse_to_force_all("tiny", [stage for stage in stages if stage.name == "tiny"])


def test_forcing_lasts_for_the_run_alone(monkeypatch):
    stages = stages_of(continued(promote={}))
    for before in (None, "letters/tokenizer"):
        monkeypatch.delenv(FORCE, raising=False)
        if before:
            monkeypatch.setenv(FORCE, before)
        with materialize._forced(stages):
            forced = os.environ[FORCE].split(",")
        assert forced == [*([before] if before else []), "tiny/checkpoint", "tiny/current"]
        assert os.environ.get(FORCE) == before
        with materialize._forced([]):
            assert os.environ.get(FORCE) == before


def test_what_waits_is_told_in_the_outlook_and_on_the_line(lab):
    data(lab)
    training = continued(when={}, promote={})
    train(lab, training)
    current = train(lab, training, "current")
    plant(lab, 3, "notes/1.jsonl", first=500)
    refresh(lab)
    checkpoint, promotion = stages_of(training)
    waiting, following = plan([checkpoint, promotion], lab.store, lab.workspace)
    assert (waiting.action, following.action) == ("reuse", "reuse")
    assert "retrain by hand with `headwater materialize tiny --force`" in waiting.reasons[0]
    line = materialize._line(run_stage(checkpoint, lab.store, lab.workspace))
    assert "reused" in line
    assert "new tokens are" in line
    assert materialize.headline(current.record) == f"checkpoint {current.record.metrics['checkpoint'][:8]}"
