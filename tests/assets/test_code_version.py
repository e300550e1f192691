"""What a code version sees of a module, and that what was kept of an earlier process changes nothing."""

import sys
from pathlib import Path

import pytest

from headwater.assets import code_version

SOURCE = '"""A module."""\n\n\ndef double(x):\n    """Twice."""\n    return 2 * x  # plainly\n'


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Hashes the module `doubling` as a new process would."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(code_version, "_KEPT", tmp_path / "kept" / "hashes.json")

    def hash_of(source: str) -> str:
        (tmp_path / "doubling.py").write_text(source)
        for remembered in ("modules_hash", "_known_hashes", "_read", "_normal_form"):
            getattr(code_version, remembered).cache_clear()
        return code_version.modules_hash(("doubling",))

    yield hash_of
    for remembered in ("modules_hash", "_known_hashes", "_read", "_normal_form"):
        getattr(code_version, remembered).cache_clear()


def test_words_and_layout_do_not_count_and_code_does(fresh) -> None:
    version = fresh(SOURCE)
    assert fresh("def double( x ):\n    return 2*x\n") == version
    assert fresh(SOURCE.replace("2 *", "3 *")) != version


def test_a_new_process_takes_what_was_kept_and_parses_nothing(fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    version = fresh(SOURCE)
    monkeypatch.setattr(code_version.ast, "parse", None)
    assert fresh(SOURCE) == version
    with pytest.raises(TypeError):
        fresh(SOURCE.replace("2 *", "3 *"))


@pytest.mark.parametrize("damaged", ["", "[1]", '{"cut'])
def test_what_was_kept_may_be_damaged_or_unwritable(fresh, tmp_path: Path, damaged: str) -> None:
    version = fresh(SOURCE)
    (tmp_path / "kept" / "hashes.json").write_text(damaged)
    assert fresh(SOURCE) == version
    (tmp_path / "kept" / "hashes.json").unlink()
    (tmp_path / "kept").rmdir()
    (tmp_path / "kept").write_text("a file where the folder should be")
    assert fresh(SOURCE) == version
