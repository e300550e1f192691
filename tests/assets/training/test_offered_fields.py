"""What an objective needs and nothing gives is told with its line, before anything runs."""

from headwater.assets.validation import validate_workspace
from headwater.assets.workspace import Workspace

DECLARED = """\
type: headwater.assets.Corpus
attributes: {name: pictures, sources: [{kind: dataset, name: digits}]}
---
type: headwater.assets.Shards
attributes:
  name: pairs
  corpora: [pictures]
  examples: {fields: {image: {kind: array, array: image}, label: {kind: category, meta: label}}}
---
type: headwater.assets.Training
attributes:
  name: learner
  shards: pairs
  views: VIEWS
  objective: OBJECTIVE
"""


def problems(tmp_path, views: str, objective: str) -> list[tuple[int, str, str]]:
    folder = tmp_path / "pipelines" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "pipelines" / "__init__.py").touch()
    (folder / "defs.yaml").write_text(DECLARED.replace("VIEWS", views).replace("OBJECTIVE", objective))
    return [(p.line, p.field, p.message) for p in validate_workspace(Workspace(tmp_path))]


def test_fields_that_shards_and_views_give_suffice(tmp_path):
    assert problems(tmp_path, "[{kind: scale_pixels}]", "{kind: classify}") == []


def test_a_field_that_nothing_gives_is_named_where_it_is_needed(tmp_path):
    found = problems(tmp_path, "[]", "{kind: contrast}")
    assert found == [(15, "attributes.objective", "It needs image_a, image_b.")]
    line, field, message = problems(tmp_path, "[{kind: scale_pixels, field: photo}]", "{kind: classify}")[0]
    assert (line, field) == (14, "attributes.views[0]")
    assert "photo" in message


def test_a_teacher_that_an_objective_asks_must_be_declared(tmp_path):
    asked = "{kind: distil, teacher: big, classes: 10}"
    (problem,) = problems(tmp_path, "[{kind: scale_pixels}]", asked)
    assert "recipe.teachers has no 'big'" in problem[2]


def test_components_that_are_made_from_each_other_are_told(tmp_path):
    folder = tmp_path / "pipelines" / "pictures"
    folder.mkdir(parents=True)
    (tmp_path / "pipelines" / "__init__.py").touch()
    again = DECLARED.replace("VIEWS", "[]").replace("OBJECTIVE", "{kind: classify}\n  init: second")
    second = "---\ntype: headwater.assets.Training\nattributes: {name: second, like: learner, init: learner}\n"
    (folder / "defs.yaml").write_text(again + second)
    (problem,) = validate_workspace(Workspace(tmp_path))
    assert problem.message == "It is made from itself: learner from second from learner."


def test_a_start_from_a_network_of_another_width_is_told_before_anything_is_trained(tmp_path):
    views, backbone = "[{kind: scale_pixels}]", "{kind: classify}\n  backbone: {kind: vit, width: 32, heads: 2}"
    wider = "---\ntype: headwater.assets.Training\nattributes:\n  name: wider\n  like: learner\n"
    wider += "  backbone: {kind: vit, width: 64, heads: 2}\n  init: START\n"
    starts = ("learner", "{training: learner}", "{training: learner, partial: true}")
    found = [problems(tmp_path, views, f"{backbone}\n{wider.replace('START', start)}") for start in starts]
    assert [[(line, field) for line, field, _ in told] for told in found] == [
        [(23, "attributes.init")],
        [(23, "attributes.init.training")],
        [],
    ]
    assert found[0][0][2] == "The network of learner has the width 32, this one 64."
