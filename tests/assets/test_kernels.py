import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headwater.assets.curation.signals.compiled import ALPHABETIC, DECIMAL, NUMERIC, SPACE, character_classes
from headwater.assets.deduplication.normalise import ALONE, SEPARATOR, WORD, character_tables
from headwater.assets.deduplication.normalise import SPACE as SPACE_BETWEEN
from headwater.assets.key_sets import first_at_least

KERNEL = """
import numpy as np
from headwater.assets.kernels import compiled

@compiled()
def add(values, more):
    total = np.zeros(1, np.int64)
    for value in values:
        total[0] += value + more
    return total
"""
CALLING = """
from headwater.assets.kernels import compiled

@compiled()
def once(value):
    return value + 1

@compiled()
def twice(value):
    return once(once(value))
"""
USE = """
import sys
import numpy as np
import kernel_under_test
print(kernel_under_test.add(np.arange(4), {more}), 'numba.np.linalg' in sys.modules, sum(
    kernel_under_test.add.stats.cache_hits.values()))
"""


def run(folder: Path, more: str = "1") -> list[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    command = [sys.executable, "-c", USE.format(more=more)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout.split()


def test_a_kept_kernel_is_loaded_without_the_compiler_and_compiled_anew_where_its_source_changed(tmp_path):
    (tmp_path / "kernel_under_test.py").write_text(KERNEL)
    assert run(tmp_path) == ["[10]", "True", "0"]
    assert run(tmp_path) == ["[10]", "False", "1"]
    assert run(tmp_path, "1.5")[1:] == ["True", "0"]  # another signature: the compiler is loaded after all
    (tmp_path / "kernel_under_test.py").write_text(KERNEL.replace("value + more", "value - more"))
    assert run(tmp_path) == ["[2]", "True", "0"]


def test_what_was_compiled_from_an_older_source_is_not_taken_for_the_new_one(tmp_path):
    kernel = tmp_path / "kernel_under_test.py"
    kernel.write_text(CALLING)
    edited = CALLING.replace("value + 1", "value + 100")
    code = f"import kernel_under_test\nopen({str(kernel)!r}, 'w').write({edited!r})\nprint(kernel_under_test.twice(0))"
    said = []
    for source in (code, "import kernel_under_test\nprint(kernel_under_test.twice(0))"):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        done = subprocess.run(
            [sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True
        )
        said.append(done.stdout.strip())
    assert said == ["2", "200"]


def test_a_kernel_that_is_only_declared_looks_for_no_place_on_disk(tmp_path):
    (tmp_path / "kernel_under_test.py").write_text(KERNEL)
    command = [sys.executable, "-B", "-c", "import kernel_under_test"]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["kernel_under_test.py"]


def test_a_kernel_beside_it_counts_as_its_source(tmp_path):
    (tmp_path / "kernel_under_test.py").write_text(KERNEL)
    run(tmp_path)
    (tmp_path / "other.py").write_text("# no kernel here\n")
    assert run(tmp_path)[2] == "1"
    (tmp_path / "other.py").write_text("# one that it may call\n@compiled()\n")
    assert run(tmp_path)[2] == "0"


def test_a_kernel_that_counts_no_references_gives_the_same_and_makes_no_array(tmp_path):
    uncounted = KERNEL.replace("@compiled()", "@compiled(allocates=False)").replace("return total", "return total[0]")
    (tmp_path / "kernel_under_test.py").write_text(uncounted)
    with pytest.raises(subprocess.CalledProcessError):
        run(tmp_path)
    (tmp_path / "kernel_under_test.py").write_text(uncounted.replace("np.zeros(1, np.int64)", "values[:1]"))
    assert run(tmp_path) == ["10", "True", "0"]
    assert run(tmp_path) == ["10", "False", "1"]


def test_character_classes_are_those_of_python():
    classes = character_classes()
    for point in [*range(0x3000), *range(0xD7F0, 0x10480), 0x1D7D8, 0x20000, 0x3FFFF, 0x10FFFF]:
        character, kind = chr(point), 0
        if point < 0x40000:
            kind = SPACE if character.isspace() else NUMERIC if character.isalnum() else 0
            kind = ALPHABETIC if character.isalpha() else kind
            kind |= DECIMAL if character.isdecimal() else 0
        assert classes[point] == kind


def test_character_tables_fold_and_divide_as_python_does():
    classes, folds = character_tables()
    for point in range(0x20000):
        character = chr(point)
        folded = next((f for f in (character.casefold(), character.lower()) if len(f) == 1), character)
        assert folds[point] == ord(folded)
        if character.isspace():
            assert classes[point] == SPACE_BETWEEN
        elif character.isalnum():
            assert classes[point] in (WORD, ALONE)
    # A combining accent and a Thai vowel sign are marks, the latter a word by itself; a hyphen separates.
    assert [classes[point] for point in (0x301, 0x0E31, ord("_"), ord("-"))] == [WORD, ALONE, WORD, SEPARATOR]


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64])
def test_places_of_keys_are_those_of_searchsorted(size):
    keys = np.sort(np.random.default_rng(size).integers(0, 40, size).astype(np.uint64))
    for key in range(42):
        assert first_at_least(keys, np.uint64(key)) == np.searchsorted(keys, np.uint64(key))
