"""The cascade of Yi as declared: nothing it is judged on is trained on, each filter sees what the one before left."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from headwater.assets.corpus.declaration import CorpusOptions
from headwater.assets.corpus.reading import split_of
from headwater.assets.likeness import among, completed
from headwater.assets.scales import SCALES, at_scale
from headwater.assets.validation.workspace_check import said_in
from headwater.assets.workspace import Workspace

SAID = said_in(Workspace(Path(__file__).resolve().parents[2]))
CORPORA = ("yi_trusted", "yi_raw", "yi_ruled")


def attributes(name: str, scale: str = "small") -> dict[str, Any]:
    with among(SAID):
        return at_scale(completed(SAID[name].attributes, SAID[name].kind), scale)


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_held_out_of_the_trusted_text_is_held_out_of_the_raw_text(scale):
    corpora = [CorpusOptions.model_validate(attributes(name, scale)) for name in CORPORA]
    for group in ("debian/libc", "debian/zlib", *(f"debian/package-{n}" for n in range(200))):
        assert len({split_of(group, corpus.held_out) for corpus in corpora}) == 1
    assert attributes("yi_raw", scale)["sources"] == attributes("yi_ruled", scale)["sources"]


def test_each_filter_sees_what_the_one_before_left():
    order = ["yi_clean", "yi_placed", "yi_likely", "yi_scored"]
    for later, earlier in pairwise(order):
        assert attributes(later)["corpus"].partition("/")[0] == earlier
    assert attributes("yi_scored")["corpus"] == "yi_ruled"


@pytest.mark.parametrize("scale", SCALES)
def test_the_arms_differ_in_their_text_alone(scale):
    arms = [attributes(f"yi_on_{text}", scale) for text in ("raw", "ruled", "clean")]
    assert len({str({k: v for k, v in sorted(arm.items()) if k not in ("name", "shards")}) for arm in arms}) == 1
    assert len({arm["shards"] for arm in arms}) == 3


@pytest.mark.parametrize("scale", SCALES)
def test_the_deeper_model_has_the_layers_that_its_merge_gives_it(scale):
    source, deeper = attributes("yi_on_clean", scale), attributes("yi_deeper_continued", scale)
    added = attributes("yi_deeper", scale)["merger"]["layers"]
    assert deeper["backbone"] == source["backbone"] | {"layers": source["backbone"]["layers"] + added}
    assert deeper["recipe"] == attributes("yi_source_continued", scale)["recipe"]


@pytest.mark.parametrize("scale", SCALES)
def test_long_contexts_are_read_by_models_of_one_origin_and_as_many_tokens(scale):
    arms = {arm: attributes(f"yi_{arm}", scale) for arm in ("long_continued", "long_same_base", "short_continued")}
    arms["short_raised"] = attributes("yi_short_raised", scale)
    base = attributes("yi_short", scale)["backbone"]["rope_base"]
    raised = {arm for arm, said in arms.items() if said["backbone"]["rope_base"] > base}
    assert raised == {"long_continued", "short_raised"}
    assert {said["init"] for said in arms.values()} == {"yi_short"}
    lengths = {name: attributes(name, scale)["sequence_length"] for name in ("yi_long_texts", "yi_short_texts")}
    tokens = {said["recipe"]["batch_size"] * lengths[said["shards"]] for said in arms.values()}
    assert max(tokens) <= 1.06 * min(tokens)  # a paper's 4M tokens are no whole number of its long texts
    assert len({(said["recipe"]["steps"], str(said["views"])) for said in arms.values()}) == 1


@pytest.mark.parametrize("scale", SCALES)
def test_needles_are_asked_for_as_they_were_planted_and_up_to_the_longest_text(scale):
    planted = attributes("yi_short", scale)["views"][0]
    asked = attributes("yi_long_map", scale)["probes"]["needle"]
    assert {name: planted[name] for name in ("ids", "groups", "tokens")} == {
        name: asked[name] for name in ("ids", "groups", "tokens")
    }
    assert max(asked["lengths"]) == attributes("yi_long_texts", scale)["sequence_length"]
    marks = attributes("yi_long_pieces", scale)["fit"]["special_tokens"]
    assert marks[2] == f"<|mark_{{0..{planted['ids'][1] - planted['ids'][0]}}}|>"
