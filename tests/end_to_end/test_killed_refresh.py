"""Processes that are killed at random moments of a first run, a refresh and a withdrawal of files, again and again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_pipelines import Lab
from test_faults import state, write_first, write_second

RUN = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from small_pipelines import Lab
from test_faults import components
Lab(Path(sys.argv[1]), Path(sys.argv[2])).run(*components())
print("done", flush=True)
"""


def run_in_a_process(lab: Lab, seconds: float | None = None) -> bool:
    """Runs the pipeline in a process of its own, which is killed after so many seconds; whether it came to its end."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", RUN, str(lab.root), lab.store.root, str(here), str(here.parent)]
    environment = os.environ | {"HEADWATER_ENGINE": "local", "OMP_NUM_THREADS": "1", "OPENLINEAGE_DISABLED": "true"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    assert process.returncode == 0, errors
    return "done" in output


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_again_and_again_it_ends_where_it_would_have_ended(tmp_path, seed):
    rng = random.Random(seed)
    killed, calm = Lab(tmp_path / "work", tmp_path / "killed"), Lab(tmp_path / "work", tmp_path / "calm")
    kills = 0
    for write in (write_first, write_second):
        write(calm)
        began = time.monotonic()
        assert run_in_a_process(calm)
        undisturbed = time.monotonic() - began
        for _ in range(4):
            kills += not run_in_a_process(killed, undisturbed * rng.uniform(0.3, 0.9))
        assert run_in_a_process(killed)
        assert state(killed) == state(calm)
    assert kills >= 2, "hardly a run was killed"
