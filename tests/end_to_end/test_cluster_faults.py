"""A cluster of several nodes on this machine: the same rows from any number of them, and what becomes of a run when a
node dies, a disk is full or memory ends: it ends right, or with one clear error and everything as it was.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fault_stages import faulty_stage
from small_pipelines import Lab, bytes_tokenizer, notes, packed, prose, reworded, stages_of

from headwater.assets.compute import executor
from headwater.assets.compute.executor import ComputeError, stop_ray
from headwater.assets.compute.failures import is_full_disk
from headwater.assets.context import StageError
from headwater.assets.running import run_stage
from headwater.assets.storage.tables import read_table

STAGES = ("raw", "signals", "curated", "deduplicated", "tokens", "shards")
_NODE_MEMORY = 80_000_000


class Cluster:
    """A head without CPUs, where the driver is, and nodes of one CPU each."""

    def __init__(self, nodes: int) -> None:
        from ray.cluster_utils import Cluster as LocalCluster

        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _NODE_MEMORY}
        self._cluster = LocalCluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add() for _ in range(nodes)]
        self.address = self._cluster.address

    def add(self) -> Any:
        return self._cluster.add_node(num_cpus=1, object_store_memory=_NODE_MEMORY)

    def kill(self, node: Any) -> None:
        """The node's raylet is gone from one moment to the next; its workers go with it."""
        for started in node.all_processes["raylet"]:
            os.kill(started.process.pid, signal.SIGKILL)

    def shutdown(self) -> None:
        stop_ray()
        self._cluster.shutdown()


@pytest.fixture
def cluster_of(monkeypatch) -> Iterator[Callable[[int], Cluster]]:
    """Starts clusters of so many nodes; all end with the test."""
    stop_ray()
    monkeypatch.delenv("HEADWATER_ENGINE", raising=False)
    for name in ("RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    here = str(Path(__file__).parent)
    paths = [here, str(Path(here).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    started: list[Cluster] = []

    def start(nodes: int) -> Cluster:
        started.append(Cluster(nodes))
        monkeypatch.setenv("RAY_ADDRESS", started[-1].address)
        return started[-1]

    yield start
    for cluster in started:
        cluster.shutdown()


def components(**compute: Any) -> list[Any]:
    return [
        notes(path="files/*.jsonl", compute={"partition_megabytes": 0.002, **compute}),
        bytes_tokenizer(),
        packed(compute=compute),
    ]


def write(lab: Lab) -> None:
    for part in range(6):
        texts = [prose(20 * part + number) for number in range(6)]
        lab.write_jsonl(f"files/part{part}.jsonl", [{"text": text} for text in [*texts, reworded(texts[0])]])


def state(lab: Lab) -> dict[str, Any]:
    """All that readers see: rows in their order, files and content of every asset."""
    found: dict[str, Any] = {}
    for asset in lab.store.assets():
        record, place = lab.record(asset), lab.store.place(asset)
        rows = {name: read_table(place.table(name), t.version).to_pylist() for name, t in record.tables.items()}
        found[asset] = (record.content_version, rows, record.files)
    return found


def alone(tmp_path: Path) -> dict[str, Any]:
    """What one process without Ray makes of the same files."""
    lab = Lab(tmp_path / "workspace", tmp_path / "alone")
    write(lab)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_ENGINE", "local")
        lab.run(*components())
    return state(lab)


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 3])
def test_every_stage_gives_the_same_rows_on_any_number_of_nodes(cluster_of, tmp_path, nodes):
    expected = alone(tmp_path)
    lab = Lab(tmp_path / "workspace", tmp_path / "store")
    cluster_of(nodes)
    results = lab.run(*components(workers=2 * nodes))
    assert {results[a].record.execution.engine for a in ("notes/signals", "packed/tokens")} == {"ray"}
    assert state(lab) == expected


@pytest.mark.slow
def test_a_node_killed_in_each_stage_changes_nothing(cluster_of, tmp_path, monkeypatch):
    """In each stage one of two nodes dies after its first partition; another takes its place for the next stage."""
    expected = alone(tmp_path)
    lab = Lab(tmp_path / "workspace", tmp_path / "store")
    cluster = cluster_of(2)
    deaths: list[int] = []
    original = executor.RayExecutor.map

    def map_and_kill(self: Any, function: Any, items: Any, waiting: Any = None, on_gpu: bool = False) -> Iterator[Any]:
        for count, found in enumerate(original(self, function, items, waiting)):
            if count == 0 and len(items) > 2:
                deaths.append(len(items))
                cluster.kill(cluster.nodes.pop())
                cluster.nodes.append(cluster.add())
            yield found

    monkeypatch.setattr(executor.RayExecutor, "map", map_and_kill)
    lab.run(*components(workers=2))
    assert len(deaths) >= len(STAGES), deaths
    assert state(lab) == expected


def numbers(lab: Lab) -> list[int]:
    return lab.table("numbers/squares", "rows")["item"].to_pylist()


@pytest.mark.slow
def test_a_cluster_without_its_last_node_is_one_clear_error_and_the_next_run_continues(
    cluster_of, tmp_path, monkeypatch
):
    monkeypatch.setattr(executor, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(executor, "PATIENCE_SECONDS", 1.0)
    lab, cluster = Lab(tmp_path / "workspace", tmp_path / "store"), cluster_of(1)
    run_stage(faulty_stage("none", tmp_path), lab.store, lab.workspace)
    before = state(lab)
    changed = faulty_stage("slow", tmp_path, edition=2, address=cluster.address)

    def kill_when_under_way() -> None:
        while not (tmp_path / "began-4").exists():
            time.sleep(0.05)
        cluster.kill(cluster.nodes.pop())

    for mark in tmp_path.glob("began-*"):
        mark.unlink()
    killer = threading.Thread(target=kill_when_under_way)
    killer.start()
    with pytest.raises(ComputeError, match=r"No node of the Ray cluster can run a task that needs 1 CPU"):
        run_stage(changed, lab.store, lab.workspace)
    killer.join()
    assert state(lab) == before
    (tmp_path / "happened").touch()
    for mark in tmp_path.glob("began-*"):
        mark.unlink()
    cluster.nodes.append(cluster.add())
    run_stage(changed, lab.store, lab.workspace)
    assert numbers(lab) == list(range(12))
    assert not (tmp_path / "began-0").exists(), "a finished partition was computed again"


def test_tasks_that_no_node_is_large_enough_for_are_refused_at_once(tmp_path, monkeypatch):
    stop_ray()
    monkeypatch.delenv("HEADWATER_ENGINE", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(executor, "LOOK_SECONDS", 0.2)
    lab = Lab(tmp_path / "workspace", tmp_path / "store")
    try:
        with pytest.raises(ComputeError, match=r"No node .* needs 1 CPU, 1e\+07 GB of memory"):
            run_stage(faulty_stage("none", tmp_path, memory_gb=1e7), lab.store, lab.workspace)
    finally:
        stop_ray()
    assert lab.store.assets() == []


@pytest.mark.slow
def test_a_task_that_takes_all_memory_is_one_clear_error_and_the_rest_is_kept(tmp_path, monkeypatch):
    """Ray ends the task when the machine's memory passes a threshold, here a little above what is used now."""
    stop_ray()
    monkeypatch.delenv("HEADWATER_ENGINE", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{_memory_share(extra_gb=3.0):.4f}")
    monkeypatch.setenv("RAY_task_oom_retries", "1")
    lab = Lab(tmp_path / "workspace", tmp_path / "store")
    try:
        with pytest.raises(ComputeError, match="ran out of memory"):
            run_stage(faulty_stage("memory", tmp_path), lab.store, lab.workspace)
    finally:
        stop_ray()
    assert lab.store.assets() == []
    for mark in tmp_path.glob("began-*"):
        mark.unlink()
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    run_stage(faulty_stage("none", tmp_path), lab.store, lab.workspace)
    assert numbers(lab) == list(range(12))
    assert not (tmp_path / "began-0").exists(), "a finished partition was computed again"


def _memory_share(extra_gb: float) -> float:
    """The share of this machine's memory in use, and some GB more."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    found = {parts[0].rstrip(":"): int(parts[1]) * 1024 for parts in lines}
    return min((found["MemTotal"] - found["MemAvailable"] + extra_gb * 1e9) / found["MemTotal"], 0.98)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 3 MB; skipped where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_fills_up_in_any_stage_is_one_clear_error_and_the_next_run_continues(
    small_disk, tmp_path, monkeypatch, stage
):
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    expected = alone(tmp_path)
    lab = Lab(tmp_path / "workspace", small_disk / "store")
    stages = {found.asset.split("/")[1]: found for found in stages_of(*components())}
    for name, found in stages.items():
        if name == stage:
            break
        run_stage(found, lab.store, lab.workspace)
    before = state(lab)
    ballast = small_disk / "ballast"
    _fill(ballast)
    with pytest.raises(StageError, match=rf"{stages[stage].asset}: the disk is full .* run again") as caught:
        run_stage(stages[stage], lab.store, lab.workspace)
    assert is_full_disk(caught.value)
    assert state(lab) == before
    ballast.unlink()
    lab.run(*components())
    assert state(lab) == expected


def _fill(file: Path) -> None:
    """Takes every byte that is left on a disk."""
    with file.open("wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    ballast.write(b"\0" * size)
