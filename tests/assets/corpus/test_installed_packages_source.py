import json
import sysconfig
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.assets.corpus.options import HeldOut, InstalledPackages, ReadLimits
from headwater.assets.corpus.reading import SourceError, list_files, read_partition
from headwater.assets.corpus.sources.installed_packages import (
    license_of,
    main_module,
    normalized,
    within_budget,
)
from headwater.assets.corpus.sources.records import SourceFile


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return list_files(InstalledPackages(), tmp_path_factory.mktemp("w"))


def packages_of(files):
    found = {}
    for file in files:
        found.setdefault(file.group, []).append(file)
    return found


def test_a_budget_takes_whole_packages_the_same_ones_each_time(tmp_path, everything):
    source = InstalledPackages(max_megabytes=5)
    files = list_files(source, tmp_path)
    assert files == list_files(source, tmp_path)
    assert 4_000_000 < sum(file.size for file in files) <= 5_000_000
    whole = packages_of(everything)
    assert all(whole[name] == members for name, members in packages_of(files).items())
    assert (
        packages_of(files).keys()
        != packages_of(list_files(InstalledPackages(max_megabytes=5, seed=1), tmp_path)).keys()
    )


def test_names_groups_and_licences(everything):
    by_uri = {file.uri: file for file in everything}
    base_events = by_uri["stdlib/asyncio/base_events.py"]
    assert (base_events.group, base_events.license) == ("stdlib.asyncio", "PSF-2.0")
    assert by_uri["stdlib/os.py"].group == "stdlib.os"
    assert by_uri["site-packages/numpy/__init__.py"].group == "numpy"
    assert "BSD-3-Clause" in by_uri["site-packages/numpy/__init__.py"].license
    licences = [file for file in everything if ".dist-info/" in file.uri and "numpy-" in file.uri]
    assert {file.group for file in licences} <= {"numpy"}
    assert list(by_uri) == sorted(by_uri)


def test_nothing_of_this_machine_or_of_the_project_itself(everything):
    roots = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    for file in everything:
        assert file.uri.startswith(("stdlib/", "site-packages/"))
        assert not any(root.lstrip("/") in file.uri for root in roots)
        assert not any(part in file.uri for part in ("__pycache__", "..", "_sysconfigdata", "/lib-dynload/"))
        assert 200 <= file.size <= 1_000_000
        assert file.group != "headwater"
        assert not file.uri.startswith("stdlib/site-packages")


def test_tests_of_the_standard_library_only_on_demand(tmp_path, monkeypatch):
    for name in (
        "os.py",
        "test/test_os.py",
        "sqlite3/test/dump.py",
        "sqlite3/dump.py",
        "lib-dynload/x.py",
        "LICENSE.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * 300)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    files = {file.uri: file.group for file in list_files(InstalledPackages(), tmp_path)}
    assert files == {
        "stdlib/LICENSE.txt": "stdlib.LICENSE",
        "stdlib/os.py": "stdlib.os",
        "stdlib/sqlite3/dump.py": "stdlib.sqlite3",
    }
    with_tests = {file.uri for file in list_files(InstalledPackages(stdlib_tests=True), tmp_path)}
    assert with_tests - files.keys() == {"stdlib/test/test_os.py", "stdlib/sqlite3/test/dump.py"}


def test_packages_can_be_left_out_by_either_name(tmp_path):
    left_out = ("stdlib", "PyYAML", "numpy", "typing-extensions")
    groups = packages_of(list_files(InstalledPackages(exclude=left_out), tmp_path)).keys()
    assert not groups & {"yaml", "_yaml", "numpy", "typing_extensions"}
    assert not any(group.startswith("stdlib.") for group in groups)
    part = packages_of(list_files(InstalledPackages(exclude=("stdlib.asyncio",)), tmp_path)).keys()
    assert "stdlib.asyncio" not in part
    assert "stdlib.os" in part


def test_nothing_left_is_a_clear_error(tmp_path):
    with pytest.raises(SourceError, match=r"no installed package is left; raise max_megabytes \(now 1e-06\)"):
        list_files(InstalledPackages(max_megabytes=1e-6), tmp_path)


@given(
    sizes=st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 10**6), max_size=12),
    megabytes=st.floats(0.001, 4),
    seed=st.integers(0, 3),
)
def test_the_budget_is_kept_and_no_package_that_fits_is_passed_over(sizes, megabytes, seed):
    packages = {name: [SourceFile("s", name, "", size, "")] for name, size in sizes.items()}
    chosen = within_budget(packages, megabytes, seed)
    backwards = dict(reversed(packages.items()))
    assert chosen == within_budget(backwards, megabytes, seed)
    left = int(megabytes * 1e6) - sum(sizes[name] for name in chosen)
    assert left >= 0
    assert all(sizes[name] > left for name in sizes.keys() - set(chosen))


def test_the_documents_are_the_files(tmp_path):
    source = InstalledPackages(max_megabytes=1)
    files = list_files(source, tmp_path)
    batches = list(read_partition({source.name: source}, files, HeldOut(), ReadLimits()))
    ledger = [row for _, part in batches for row in part.to_pylist()]
    texts = {row["doc_id"]: row["text"] for part, _ in batches for row in part.to_pylist()}
    by_uri = {file.uri: file for file in files}
    assert [row["uri"] for row in ledger] == list(by_uri)
    for row in ledger:
        assert row["license"] == by_uri[row["uri"]].license
        assert row["format"] == ("code" if row["uri"].endswith(".py") else "prose")
        if row["kept"]:
            assert len(texts[row["doc_id"]].encode()) == row["bytes"] <= by_uri[row["uri"]].size


def installed(folder, name, files, **extra):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    headers = "".join(f"{key}: {value}\n" for key, value in extra.pop("headers", []))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{headers}")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in [*files, "../../../bin/tool.py", "gone.py"]))
    if "direct_url" in extra:
        (info / "direct_url.json").write_text(json.dumps(extra["direct_url"]))
    return metadata.PathDistribution(info)


def test_an_environment_of_ones_own(tmp_path, monkeypatch):
    text = "x" * 300
    installed(tmp_path, "Two_Parts", {"one/a.py": text, "one/b.py": text, "two.py": text, "README.md": text,
                                      "Two_Parts-1.0.dist-info/LICENSE.txt": text, "one/__pycache__/c.py": text,
                                      "one/small.py": "x", "one/data.bin": text})  # fmt: skip
    installed(tmp_path, "mine", {"mine/a.py": text}, direct_url={"url": "file:///x", "dir_info": {"editable": True}})
    installed(tmp_path, "wheel", {"wheel/a.py": text}, direct_url={"url": "https://e.org/a.whl", "archive_info": {}})
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    files = list_files(InstalledPackages(exclude=("stdlib",)), tmp_path)
    assert {file.uri.removeprefix("site-packages/"): file.group for file in files} == {
        "one/a.py": "one",
        "one/b.py": "one",
        "two.py": "two",
        "README.md": "one",
        "Two_Parts-1.0.dist-info/LICENSE.txt": "one",
        "wheel/a.py": "wheel",
    }


@pytest.mark.parametrize(
    ("headers", "license"),
    [
        ([("License-Expression", "MIT"), ("License", "other")], "MIT"),
        ([("License", "BSD-2-Clause")], "BSD-2-Clause"),
        ([("License", "x" * 500), ("Classifier", "License :: OSI Approved :: MIT License")], "MIT License"),
        ([("License", "UNKNOWN"), ("Classifier", "License :: A"), ("Classifier", "License :: B")], "A, B"),
        ([], None),
    ],
)
def test_the_licence_of_a_distribution(tmp_path, headers, license):
    assert license_of(installed(tmp_path, "some", {}, headers=headers)) == license


def test_names():
    assert normalized("Ruamel.yaml__X") == "ruamel-yaml-x"
    assert main_module(["b/x.py", "a/x.py", "x-1.dist-info/a.txt", "README.md"]) == "a"
    assert main_module(["x-1.dist-info/a.txt"]) is None
