"""Data-parallel training by Ray Train: one process per worker, joined by torch.distributed.

Ray Train only starts the workers and their process group; what is trained, saved and resumed is the caller's function.
"""

import os
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from headwater.assets.compute.executor import ComputeError, start_ray
from headwater.assets.compute.options import ComputeOptions


def run_on_workers(
    function: Callable[[Any, int, int], Any], argument: Any, options: ComputeOptions, watch: Callable[[], None]
) -> None:
    """Calls ``function(argument, rank, world)`` on ``options.workers`` workers and waits; ``watch`` runs meanwhile.

    Raises:
        ComputeError: a worker failed; its own message is included.
    """
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    start_ray(options)
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = {"CPU": options.cpus} | ({"GPU": options.gpus} if options.gpus else {})
    scaling = ScalingConfig(num_workers=options.workers, use_gpu=options.gpus > 0, resources_per_worker=resources)
    with tempfile.TemporaryDirectory(prefix="headwater-ray-train-") as scratch:
        trainer = TorchTrainer(
            _on_worker,
            train_loop_config={"function": function, "argument": argument},
            scaling_config=scaling,
            torch_config=TorchConfig(backend="nccl" if options.gpus else "gloo"),
            run_config=RunConfig(storage_path=scratch, name="training"),
        )
        with _watching(watch):
            try:
                trainer.fit()
            except Exception as error:  # Ray Train wraps whatever a worker raised in several ways
                raise ComputeError(f"A training worker failed: {_reason(error)}") from error


def _on_worker(config: dict[str, Any]) -> None:
    from ray import train

    context = train.get_context()
    config["function"](config["argument"], context.get_world_rank(), context.get_world_size())


def _reason(error: BaseException) -> str:
    failures = getattr(error, "worker_failures", None) or {}
    inner = next(iter(failures.values()), None) or error.__cause__ or error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[-1] if lines else type(inner).__name__


class _watching:
    """Calls a function every second while the block runs."""

    def __init__(self, watch: Callable[[], None]) -> None:
        self._watch, self._done = watch, threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        while not self._done.wait(1.0):
            self._watch()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._watch()
