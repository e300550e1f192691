"""A component like another one: what it says counts, the rest is the other's; and where that goes wrong it is told."""

import dagster as dg
import pytest

from headwater.assets.dagster_assets import stages_of
from headwater.assets.definitions import load_definitions
from headwater.assets.likeness import Said, among, completed
from headwater.assets.validation import validate_workspace
from headwater.assets.workspace import Workspace

BASE = """\
type: headwater.assets.Corpus
attributes:
  name: notes
  description: the first
  sources: [{kind: jsonl, path: "notes/*.jsonl"}]
  held_out: {group: document, share: 0.2}
  scales: {smoke: {held_out: {seed: 3}}}
"""


def written(workspace: Workspace, *documents: str) -> Workspace:
    folder = workspace.pipelines / "notes"
    folder.mkdir(exist_ok=True)
    (folder / "defs.yaml").write_text("---\n".join(documents))
    return workspace


def loaded(workspace: Workspace) -> dict[str, object]:
    definitions = load_definitions(workspace)
    assert isinstance(definitions, dg.Definitions)
    return {stage.name: stage.options for stage in stages_of(definitions) if stage.stage == "raw"}


OTHER = "type: headwater.assets.Corpus\nattributes: {name: other, like: notes, held_out: {share: 0.5}}\n"


def test_what_is_not_said_is_the_others(workspace):
    options = loaded(written(workspace, BASE, OTHER))
    assert options["other"].sources == options["notes"].sources
    assert (options["other"].held_out.share, options["other"].held_out.group) == (0.5, "document")
    assert options["notes"].held_out.share == 0.2


def test_it_may_stand_before_the_other_and_holds_at_every_scale(workspace, monkeypatch):
    monkeypatch.setenv("HEADWATER_SCALE", "smoke")
    options = loaded(written(workspace, OTHER, BASE))
    assert (options["other"].held_out.share, options["other"].held_out.seed) == (0.5, 3)


def test_neither_name_nor_description_is_taken_over():
    said = {"a": Said("Fit", {"name": "a", "description": "the first", "corpus": "x"})}
    with among(said):
        assert completed({"name": "b", "like": "a"}, "Fit") == {"name": "b", "corpus": "x"}


def test_likeness_goes_on_and_may_not_go_round():
    said = {
        "a": Said("Fit", {"name": "a", "corpus": "x", "fit": {"kind": "one", "size": 1}}),
        "b": Said("Fit", {"name": "b", "like": "a", "fit": {"size": 2}}),
        "c": Said("Fit", {"name": "c", "like": "d"}),
        "d": Said("Fit", {"name": "d", "like": "c"}),
    }
    with among(said):
        assert completed({"name": "e", "like": "b"}, "Fit")["fit"] == {"kind": "one", "size": 2}
        with pytest.raises(ValueError, match="d is like c is like d"):
            completed({"name": "e", "like": "d"}, "Fit")
        with pytest.raises(ValueError, match="no Corpus is named 'a'"):
            completed({"name": "e", "like": "a"}, "Corpus")


@pytest.mark.parametrize(
    ("document", "line", "field", "told"),
    [
        (OTHER.replace("like: notes", "like: nots"), 9, "like", "no Corpus is named 'nots'"),
        (OTHER.replace("share: 0.5", "share: half"), 9, "held_out.share", "number"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(workspace, document, line, field, told):
    (problem,) = validate_workspace(written(workspace, BASE, document))
    assert problem.line >= line
    assert field in problem.field
    assert told in problem.message


def test_what_is_wrong_in_the_other_is_told_once(workspace):
    wrong = BASE.replace("share: 0.2", "share: much")
    problems = validate_workspace(written(workspace, wrong, OTHER))
    assert [problem.field for problem in problems] == ["attributes.held_out.share"]
    assert problems[0].line == 6


def test_what_is_wrong_only_together_is_told(workspace):
    kind = "type: headwater.assets.Training\n"
    one = kind + "attributes: {name: one, shards: s, recipe: {steps: 3, phases: [{steps: 3}]}}\n"
    other = kind + "attributes: {name: other, like: one, recipe: {steps: 5}}\n"
    told = [problem.message for problem in validate_workspace(written(workspace, one, other))]
    assert any("the phases have 3 steps, the recipe 5" in message for message in told)
