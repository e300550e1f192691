"""Every declaration shown in the documentation is valid: fields, values and rules over them."""

import re
from pathlib import Path

import pytest
import yaml
from declared import components_in

from headwater.assets.validation import component_kinds, validate_workspace
from headwater.assets.workspace import Workspace

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PREFIX = "headwater.assets."
NEEDED = {
    "Corpus": {"sources": [{"kind": "installed_packages"}]},
    "Fit": {"corpus": "filler_Corpus"},
    "Shards": {"corpora": ["filler_Corpus"], "tokenizer": "filler_Fit"},
    "Training": {"shards": "filler_Shards"},
    "Evaluation": {"training": "filler_Training", "held_out": "filler_Shards"},
    "Annotation": {"corpus": "filler_Corpus", "annotator": {"kind": "rule", "columns": {"size": "bytes"}}},
    "Selection": {"corpus": "filler_Corpus", "selector": {"kind": "everything"}},
    "Merge": {"merger": {"kind": "soup", "of": ["filler_Training", "filler_Training"]}},
}
OF_ASSET = {"annotated": "Annotation", "selected": "Selection", "merged": "Merge", "evaluation": "Evaluation"}


def declarations() -> list[tuple[str, str]]:
    """(page and number, text) of every block that declares a component."""
    found = []
    for page in PAGES:
        for number, block in enumerate(YAML.findall(page.read_text(encoding="utf-8")), start=1):
            if f"type: {PREFIX}" in block:
                found.append((f"{page.relative_to(ROOT).as_posix()}-{number}", block))
    return found


def fillers(block: str) -> str:
    """Declarations of what a block refers to and does not declare itself."""
    own = components_in(block)
    wanted = {(kind, f"filler_{kind}") for kind in NEEDED}
    for kind, attributes in own.values():
        options = component_kinds()[kind].model_validate(attributes)
        named = {(kind, *name.partition("/")[::2]) for _, kind, name in options.references()}
        wanted |= {(OF_ASSET.get(asset, kind), name) for kind, name, asset in named if name not in own}
    texts = [{"type": PREFIX + kind, "attributes": {"name": name, **NEEDED[kind]}} for kind, name in sorted(wanted)]
    return yaml.safe_dump_all(texts)


@pytest.mark.parametrize(("where", "block"), declarations(), ids=[where for where, _ in declarations()])
def test_a_declaration_is_valid(where: str, block: str, tmp_path: Path):
    for folder, text in (("shown", block), ("fillers", fillers(block))):
        file = tmp_path / "pipelines" / folder / "defs.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    (tmp_path / "pipelines" / "__init__.py").touch()
    assert [str(problem) for problem in validate_workspace(Workspace(tmp_path))] == []


def test_declarations_are_found():
    assert len(declarations()) > 25


def test_a_wrong_declaration_would_be_noticed(tmp_path: Path):
    file = tmp_path / "pipelines" / "shown" / "defs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("type: headwater.assets.Corpus\nattributes: {name: a, surces: []}\n")
    (tmp_path / "pipelines" / "__init__.py").touch()
    assert {problem.file for problem in validate_workspace(Workspace(tmp_path))} == {"pipelines/shown/defs.yaml"}
