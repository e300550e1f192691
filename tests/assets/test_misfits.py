"""What two declarations contradict each other in is told before anything runs, at the line that says it."""

import pytest

from headwater.assets.validation import validate_workspace
from headwater.assets.workspace import Workspace

SHARED = """
type: headwater.assets.Corpus
attributes: {name: pictures, sources: [{kind: dataset, name: digits}]}
---
type: headwater.assets.Shards
attributes:
  name: packed
  corpora: [pictures]
  examples: {fields: {image: {kind: array, array: image, size: 8}, label: {kind: category, meta: label}}}
"""


def training(name: str, seeds: str) -> str:
    return (
        f"---\ntype: headwater.assets.Training\nattributes: {{name: {name}, shards: packed, seeds: {seeds}, "
        "backbone: {kind: resnet, widths: [8], blocks: [1]}, objective: {kind: classify}, "
        "views: [{kind: scale_pixels}]}\n"
    )


def evaluation(training: str) -> str:
    return (
        f"---\ntype: headwater.assets.Evaluation\nattributes: {{name: {training}_report, training: {training}, "
        "shards: packed, views: [{kind: scale_pixels}], probes: {linear: {kind: linear}}}\n"
    )


def comparison(metric: str) -> str:
    return (
        "---\ntype: headwater.assets.Comparison\nattributes:\n  name: claim\n  system: two-of-them\n"
        "  paper: {title: A title, reference: '0000.00000'}\n  claim: One is better.\n"
        f"  metric: {metric}\n  method: one_report\n  baselines: [{{name: two, evaluation: two_report}}]\n"
    )


def declared(workspace: Workspace, *texts: str) -> list[str]:
    folder = workspace.pipelines / "one"
    folder.mkdir()
    (folder / "defs.yaml").write_text("".join((SHARED, *texts)))
    return [str(problem) for problem in validate_workspace(workspace)]


def two_trainings(seeds: str) -> list[str]:
    return [training("one", "[0, 1, 2]"), training("two", seeds), evaluation("one"), evaluation("two")]


def test_a_comparison_of_equal_seeds_and_known_probes_is_right(workspace):
    assert declared(workspace, *two_trainings("[0, 2, 1]"), comparison("linear/accuracy")) == []


def test_arms_over_other_seeds_are_told(workspace):
    (told,) = declared(workspace, *two_trainings("[0, 1]"), comparison("linear/accuracy"))
    assert "baselines[0].evaluation" in told
    assert "'two_report' has the seeds 0, 1, but 'one_report' 0, 1, 2." in told


@pytest.mark.parametrize("metric", ["nearest/accuracy", "[linear/accuracy, nearest/accuracy]"])
def test_a_figure_of_no_probe_is_told_once_for_each_report(workspace, metric):
    told = declared(workspace, *two_trainings("[0, 1, 2]"), comparison(metric))
    assert ["'one_report' has no probe 'nearest'" in text for text in told] == [True, False]
    assert "'two_report' has no probe 'nearest'" in told[1]
    assert all("Its probes are linear." in text for text in told)


def test_a_merge_needs_a_replicate_of_each_seed(workspace):
    soup = (
        "---\ntype: headwater.assets.Merge\nattributes: {name: soup, seeds: [0, 3], merger: {kind: soup, of: "
        "[one, two]}}\n"
    )
    (told,) = declared(workspace, training("one", "[0, 1, 2]"), training("two", "[5]"), soup)
    assert "'one' has no replicate of seed 3. Its seeds are 0, 1, 2." in told
