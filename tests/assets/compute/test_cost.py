import re

import pyarrow as pa
import pytest
from small_pipelines import Lab, notes, plant
from small_stages import counting_stage

from headwater.assets.compute.cost import Cost, Meter, megabytes_per_second, text_bytes, total_cost
from headwater.assets.compute.executor import LocalExecutor
from headwater.assets.dagster_assets import page
from headwater.assets.running import run_stage


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def test_text_is_counted_in_bytes_or_as_a_column_tells_it():
    assert text_bytes(batch(text=["äö", None, "x"])) == 5
    assert text_bytes(batch(text=pa.array(["äö"], pa.large_string()))) == 4
    assert text_bytes(batch(bytes=[3, None, 4], text=["far longer than that", "", ""])) == 7
    assert text_bytes(batch(bytes=[b"no number"])) == 0
    assert text_bytes(batch(other=[1])) == 0


def test_tables_of_the_same_documents_are_not_counted_twice():
    meter = Meter()
    with meter.running():
        meter.count("documents", batch(text=["ab", "cd"]))
        meter.count("ledger", batch(bytes=[2, 2, 0]))
        meter.count("documents", batch(text=["ef"]))
    cost = meter.cost
    assert (cost.rows, cost.text_bytes) == (3, 6)
    assert cost.peak > 10_000_000


def test_costs_add_up_and_the_highest_peak_stays():
    total = total_cost([Cost(1, 2, 0.5, 7), Cost(3, 4, 1.5, 5)])
    assert total == Cost(4, 6, 2.0, 7)
    assert megabytes_per_second(Cost(text_bytes=3_000_000), 2.0) == 1.5
    assert megabytes_per_second(total, 0.0) == 0.0


def test_a_run_says_what_each_step_did_in_its_record_on_its_page_and_in_its_log(lab: Lab):
    plant(lab, 20)
    said: list[str] = []
    stages = notes().stages("small")
    raw = run_stage(stages[0], lab.store, lab.workspace, log=said.append).record
    (step,) = raw.execution.steps
    assert (step.step, step.parts, step.taken_over, step.rows) == ("read", 1, 0, 20)
    assert step.megabytes == round(raw.metrics["megabytes"], 3) > 0
    shown = page(lab.store, raw)
    assert shown["rows per second"] > 0
    assert shown["MB per second"] >= 0
    assert "| read | 1 | 0 | 20 |" in shown["steps"].value
    assert re.search(r"notes/raw: done, .* MB · .* s · .* MB/s · .* rows/s", said[-1])
    run_stage(stages[1], lab.store, lab.workspace, log=said.append)
    assert re.search(r"notes/signals: done, 20/20 documents · .* documents/s · .* MB/s", said[-1])


def test_partitions_of_a_killed_run_count_as_taken_over(lab: Lab, monkeypatch):
    original = LocalExecutor.map

    def map_until(self, function, items, waiting=None, on_gpu=False):
        for count, found in enumerate(original(self, function, items, waiting)):
            if count == 2:
                raise KeyboardInterrupt
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(LocalExecutor, "map", map_until)
        with pytest.raises(KeyboardInterrupt):
            run_stage(counting_stage(), lab.store, lab.workspace)
    (step,) = run_stage(counting_stage(), lab.store, lab.workspace).record.execution.steps
    assert (step.parts, step.taken_over, step.rows) == (4, 2, 8)
