"""The editor's schema takes what Headwater takes, and marks what is misspelled."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from headwater.assets.command_line.editor_schema import declarations_schema, write_schema
from headwater.assets.command_line.examples import example_of
from headwater.assets.validation import component_kinds
from headwater.assets.workspace import Workspace

jsonschema = pytest.importorskip("jsonschema")
SHIPPED = sorted((Path(__file__).parents[3] / "pipelines").rglob("defs.yaml"))


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = declarations_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def errors(validator: Any, document: Any) -> list[str]:
    """Messages of all errors, those inside unions included."""
    waiting, messages = list(validator.iter_errors(document)), []
    while waiting:
        error = waiting.pop()
        messages.append(error.message)
        waiting += error.context
    return messages


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_declarations_fit(validator: Any, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        assert errors(validator, document) == []


@pytest.mark.parametrize("kind", component_kinds())
def test_examples_fit_and_a_misspelled_field_does_not(validator: Any, kind: str) -> None:
    document = yaml.safe_load(example_of(kind))
    assert errors(validator, document) == []
    document["attributes"]["nmae"] = "a"
    assert any("'nmae' was unexpected" in message for message in errors(validator, document))


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("Fit", {"fit": {"kind": "byte_level_bpe", "vocabulary_siz": 1}}, "'vocabulary_siz' was unexpected"),
        ("Fit", {"fit": {"kind": "byte_level_bp"}}, "'byte_level_bpe' was expected"),
        ("Fit", {"fit": {"vocabulary_size": 1000}}, "'kind' is a required property"),
        ("Corpus", {"sources": [{"kind": "text_files", "pth": "a"}]}, "'pth' was unexpected"),
        ("Corpus", {"max_unreadable_share": 2}, "2 is greater than the maximum of 1"),
        ("Training", {"recipe": {"optimizer": {"kind": "muon", "momentun": 1}}}, "'momentun' was unexpected"),
        ("Shards", {"corpora": [{"nam": "a"}]}, "'nam' was unexpected"),
    ],
)
def test_mistakes_further_in_are_marked(validator: Any, kind: str, change: dict[str, Any], told: str) -> None:
    document = yaml.safe_load(example_of(kind))
    document["attributes"] |= change
    assert any(told in message for message in errors(validator, document)), errors(validator, document)


def test_the_type_is_one_of_ours_or_another_librarys(validator: Any) -> None:
    assert errors(validator, {"type": "dagster.DefsFolderComponent"}) == []
    assert errors(validator, {"type": "headwater.assets.Korpus", "attributes": {}})
    assert errors(validator, {"type": "headwater.assets.Corpus"})
    assert errors(validator, {"attributes": {}})


def test_the_file_is_written_into_the_workspace(tmp_path: Path) -> None:
    path = write_schema(Workspace(tmp_path))
    assert path == tmp_path / ".dg" / "defs.schema.json"
    assert json.loads(path.read_text()) == declarations_schema()


def test_how_to_shows_the_path_that_is_written() -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "editor-completion.md").read_text()
    assert text.count(".dg/defs.schema.json") >= 3
