"""A project of its own for tests that declare pipelines."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.assets.workspace import Workspace

PROJECT = """\
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "pipelines"
defs_module = "pipelines"
code_location_target_module = "headwater.assets.definitions"
code_location_name = "broken"
registry_modules = ["headwater.assets"]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A folder that is a project of its own; its module `pipelines` is forgotten afterwards."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "pipelines"]:
        monkeypatch.delitem(sys.modules, name)
    yield Workspace(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pipelines"]:
        del sys.modules[name]
