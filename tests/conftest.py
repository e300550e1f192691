"""What tests of every room share: a small workspace with a store, and stages that run in it."""

from pathlib import Path

import pytest
from small_pipelines import Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """An empty workspace with an empty store; everything runs in this process."""
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    return Lab(tmp_path / "workspace", tmp_path / "store")
