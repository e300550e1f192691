"""A component like another one: what it says counts, the rest is the other's; and where that goes wrong it is told."""

import dagster as dg
import pytest

from headwater.assets import Corpus
from headwater.assets.command_line.errors import mendable
from headwater.assets.component import pipeline_definitions
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


VARIED = (
    BASE
    + """\
  variants:
    other: {held_out: {share: 0.5}}
    third:
      held_out: {group: document}
      description: the last
"""
)


def test_variants_are_components_like_the_one_they_stand_in(workspace):
    options = loaded(written(workspace, VARIED, OTHER.replace("other", "fourth").replace("like: notes", "like: third")))
    assert {name: each.held_out.share for name, each in options.items()} == {
        "notes": 0.2,
        "other": 0.5,
        "third": 0.2,
        "fourth": 0.5,
    }
    assert all(each.sources == options["notes"].sources for each in options.values())


def test_variants_hold_at_every_scale(workspace, monkeypatch):
    monkeypatch.setenv("HEADWATER_SCALE", "smoke")
    options = loaded(written(workspace, VARIED))
    assert (options["other"].held_out.share, options["other"].held_out.seed) == (0.5, 3)


def test_a_variant_of_one_that_is_like_another_is_like_both(workspace):
    between = OTHER.replace("}}", "}, variants: {far: {held_out: {seed: 4}}}}")
    options = loaded(written(workspace, BASE, between))
    assert (options["far"].held_out.share, options["far"].held_out.seed) == (0.5, 4)
    assert options["far"].sources == options["notes"].sources


def test_variants_work_in_python():
    corpus = Corpus(
        name="notes",
        sources=[{"kind": "jsonl", "path": "*.jsonl"}],
        held_out={"share": 0.2, "seed": 5},
        variants={"other": {"held_out": {"share": 0.5}}},
    )
    assets = pipeline_definitions("small", corpus).resolve_asset_graph().get_all_asset_keys()
    assert {key.path[0] for key in assets} >= {"notes", "other"}
    assert (corpus.variants[0].options.held_out.share, corpus.variants[0].options.held_out.seed) == (0.5, 5)


@pytest.mark.parametrize(
    ("wrong", "line", "told"),
    [
        ("other: {held_out: {share: 2}}", 9, "1"),
        ("other: {held_ou: {share: 0.5}}", 9, "held_ou"),
        ("notes: {held_out: {share: 0.5}}", 9, "is the name of this component"),
        ("other: {name: third}", 9, "its key is its name"),
        ("other: {like: third}", 9, "like this one"),
        ("other: 3", 9, "mapping"),
        ("other: {scales: {smoke: {name: third}}}", 9, "hold at every scale"),
        ("1: {}", 9, "Text is expected"),
        ("other thing: {}", 9, "is not a name"),
    ],
)
def test_what_is_wrong_in_a_variant_is_told_with_its_line(workspace, wrong, line, told):
    problems = validate_workspace(written(workspace, f"{BASE}  variants:\n    {wrong}\n"))
    assert problems
    assert all(problem.line in (line, line - 1) for problem in problems), problems
    assert any(told in " ".join((problem.message, problem.field, problem.mend)) for problem in problems), problems


def test_a_variant_may_be_named_by_others_and_be_wrong_with_them(workspace):
    fit = "type: headwater.assets.Fit\nattributes: {name: pieces, corpus: othr, fit: {kind: byte_level_bpe}}\n"
    (problem,) = validate_workspace(written(workspace, VARIED, fit))
    assert "other" in problem.mend
    assert validate_workspace(written(workspace, VARIED, fit.replace("othr", "other"))) == []


def test_a_variant_is_joined_with_what_is_written_as_a_document_of_its_own_is(workspace):
    """Not with what it means: a short form that says no `kind` is joined with one that does."""
    written_out = BASE.replace("held_out: {group: document, share: 0.2}", "deduplication: {near: {bucket_width: 3}}")
    own = "deduplication: {near: {kind: minhash}, verifier: {kind: jaccard}}"
    near = written(workspace, written_out + f"  variants: {{other: {{{own}}}}}\n")
    like = "type: headwater.assets.Corpus\nattributes: {name: third, like: notes, " + own + "}\n"
    (near.pipelines / "like").mkdir()
    (near.pipelines / "like" / "defs.yaml").write_text(like)
    definitions = load_definitions(near)
    options = {stage.name: stage.options for stage in stages_of(definitions) if stage.stage == "deduplicated"}
    assert options["other"].near.bucket_width == options["third"].near.bucket_width == 3
    assert options["other"].near.kind == "minhash"


def test_variants_take_templates_from_the_environment(workspace, monkeypatch):
    monkeypatch.setenv("WHICH", "far")
    templated = BASE.replace("notes/*.jsonl", "{{ env.WHICH }}/*.jsonl")
    sources = "[{kind: jsonl, path: 'very/{{ env.WHICH }}.jsonl'}]"
    options = loaded(written(workspace, templated + f"  variants: {{other: {{}}, third: {{sources: {sources}}}}}\n"))
    assert [options[name].sources[0].path for name in ("notes", "other", "third")] == [
        "far/*.jsonl",
        "far/*.jsonl",
        "very/far.jsonl",
    ]


@pytest.mark.parametrize("key", ['"variants"', "variants "])
def test_variants_are_found_however_their_key_is_written(workspace, key):
    assert validate_workspace(written(workspace, f"{BASE}  {key}: {{other: {{}}}}\n")) == []


def test_what_is_missing_in_the_other_is_told_once_and_automations_have_no_variants(workspace):
    without = "type: headwater.assets.Corpus\nattributes: {name: notes, variants: {other: {}, third: {}}}\n"
    assert [problem.field for problem in validate_workspace(written(workspace, without))] == ["attributes.sources"]
    automation = "type: headwater.assets.Automation\nattributes: {name: auto, variants: {other: {}}}\n"
    assert [p.field for p in validate_workspace(written(workspace, BASE, automation))] == ["attributes.variants"]


def test_a_template_that_gives_nothing_is_told_as_what_people_can_mend(workspace, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    templated = BASE.replace("notes/*.jsonl", "{{ env.NOWHERE }}/*.jsonl")
    with pytest.raises(Exception, match="notes") as raised:
        loaded(written(workspace, templated))
    message = mendable(raised.value)
    assert message is not None
    assert message.startswith("notes: '{{ env.NOWHERE }}' in")
    assert message.endswith("is the environment variable set?")
