"""Ray's worker processes: their errors arrive as they were raised, and one that dies is replaced."""

import pytest
from small_pipelines import Lab, notes, plant
from small_stages import computed, counting_stage

from headwater.assets.compute import executor
from headwater.assets.compute.executor import ComputeError, stop_ray
from headwater.assets.compute.options import ComputeOptions
from headwater.assets.curation.user_steps import StepError
from headwater.assets.running import run_stage

COMPUTE = {"workers": 2}


@pytest.fixture
def on_ray(tmp_path, monkeypatch):
    """A laboratory whose stages run on a Ray of its own."""
    stop_ray()
    for name in ("HEADWATER_ENGINE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADWATER_TEST_COUNTER", str(tmp_path / "counter"))
    yield Lab(tmp_path / "workspace", tmp_path / "store")
    stop_ray()


def numbers(**changes):
    stage = counting_stage()
    return counting_stage(compute=stage.compute.model_copy(update=COMPUTE | changes))


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_rows_stay_in_order(on_ray, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWATER_TEST_KILL_ONCE", str(tmp_path / "killed"))
    result = run_stage(numbers(), on_ray.store, on_ray.workspace)
    assert (tmp_path / "killed").exists(), "nothing was killed"
    assert result.record.execution.engine == "ray"
    assert on_ray.table("numbers/squares", "rows")["item"].to_pylist() == list(range(12))
    assert sorted(computed(tmp_path / "counter")) == [0, 2, 4, 6, 8, 10]


@pytest.mark.slow
def test_a_partition_that_always_kills_its_worker_is_one_clear_error_and_the_rest_is_kept(
    on_ray, tmp_path, monkeypatch
):
    monkeypatch.setenv("HEADWATER_TEST_KILL_AT", "10")
    with pytest.raises(ComputeError, match="worker process died"):
        run_stage(numbers(retries=1), on_ray.store, on_ray.workspace)
    done = computed(tmp_path / "counter")
    assert 10 not in done
    stop_ray()
    monkeypatch.delenv("HEADWATER_TEST_KILL_AT")
    run_stage(numbers(), on_ray.store, on_ray.workspace)
    assert on_ray.table("numbers/squares", "rows")["item"].to_pylist() == list(range(12))


@pytest.mark.slow
def test_an_error_in_a_worker_is_the_error_of_the_run(on_ray):
    plant(on_ray, 5)
    step = {"kind": "python", "function": "small_stages:fail_on", "options": {"word": "x"}, "version": "1"}
    with pytest.raises(StepError, match=r"small_stages:fail_on failed on document [0-9a-f]{32}"):
        on_ray.run(notes(curation={"transforms": [step], "rules": []}, compute=COMPUTE))


@pytest.mark.slow
def test_a_gpu_is_reserved_for_what_can_use_one_and_for_nothing_else(on_ray, monkeypatch):
    """There is none here, as on the machines that read and curate beside those that train."""
    monkeypatch.setattr(executor, "LOOK_SECONDS", 0.2)
    workers = executor.RayExecutor(ComputeOptions(workers=1, gpus=0.25))
    assert sorted(workers.map(str, [1, 2])) == [(0, "1"), (1, "2")]
    with pytest.raises(ComputeError, match=r"CPU, 0\.25 GPU\. Start nodes that can"):
        list(workers.map(str, [1, 2], on_gpu=True))
