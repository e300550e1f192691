"""The one place that knows Ray: it maps a plain function over items, here or in worker processes.

One Ray is started per process, at first use, and serves all assets of the run. Results come back in the order of
completion with their index, so that progress is honest; callers put them in order. Tasks in flight are bounded, so that
a million partitions do not queue up at once.
"""

import atexit
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from headwater.assets.compute.options import ComputeOptions

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "1"}


class ComputeError(Exception):
    """A task failed for a reason of the machinery (a worker died, a cluster is out of reach); says what to do."""


class Executor(Protocol):
    """Maps a function over items."""

    name: str
    workers: int

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
        """Yields (index of the item, result) as results arrive; the first failure is raised."""
        ...


class LocalExecutor:
    """Runs everything in this process, in order."""

    name = "local"
    workers = 1

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
        """See :class:`Executor`."""
        for index, item in enumerate(items):
            yield index, function(item)


class RayExecutor:
    """Runs each item as a Ray task."""

    name = "ray"

    def __init__(self, options: ComputeOptions) -> None:
        self.options = options
        self.workers = options.workers or _cpus()

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
        """See :class:`Executor`.

        Raises:
            ComputeError: a worker process died more often than ``retries`` allows.
        """
        if len(items) <= 1 and not (self.options.gpus or self.options.memory_gb or self.options.address):
            yield from LocalExecutor().map(function, items)  # nothing to share out: a small refresh starts no Ray
            return
        ray = start_ray(self.options)
        task = ray.remote(_apply).options(**self._demands())
        shared = ray.put(function)
        waiting: dict[Any, int] = {}
        upcoming = iter(enumerate(items))
        try:
            while True:
                for index, item in upcoming:
                    waiting[task.remote(shared, item)] = index
                    if len(waiting) >= 2 * self.workers:
                        break
                if not waiting:
                    return
                done, _ = ray.wait(list(waiting), num_returns=1)
                yield waiting.pop(done[0]), _result(ray, done[0])
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)

    def _demands(self) -> dict[str, Any]:
        share = _cpus() / self.workers if self.options.workers else 0
        demands: dict[str, Any] = {
            "num_cpus": max(self.options.cpus, share) if share > 1 else self.options.cpus,
            "num_gpus": self.options.gpus,
            "max_retries": self.options.retries,
            "runtime_env": {"env_vars": {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}},
        }
        if self.options.memory_gb:
            demands["memory"] = int(self.options.memory_gb * 1e9)
        return demands


def executor_for(options: ComputeOptions) -> Executor:
    """The executor that a ``compute:`` block asks for; HEADWATER_ENGINE=local overrides it for a whole process."""
    engine = os.environ.get("HEADWATER_ENGINE") or options.engine
    if engine not in ("local", "ray"):
        raise ComputeError(f"HEADWATER_ENGINE is '{engine}'; it may be local or ray.")
    return LocalExecutor() if engine == "local" else RayExecutor(options)


def start_ray(options: ComputeOptions) -> Any:
    """Starts Ray, or joins the cluster that was asked for, once per process; returns the module.

    Raises:
        ComputeError: the cluster cannot be joined.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    import ray

    if ray.is_initialized():
        return ray
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    arguments: dict[str, Any] = {"address": address, "logging_level": "ERROR", "log_to_driver": True}
    if address == "local":  # an address of its own, or Ray joins whatever cluster it finds on the machine
        arguments |= {"include_dashboard": False, "num_cpus": max(options.workers, _cpus())}
        arguments["runtime_env"] = {"env_vars": {"PYTHONPATH": os.pathsep.join(_own_paths())}}
    try:
        ray.init(**arguments)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ComputeError(
            f"Ray at '{address}' cannot be reached ({str(error).splitlines()[0]}). Check compute.address or "
            "RAY_ADDRESS; a shared cluster with tokens needs RAY_AUTH_MODE=token in this process. "
            "`engine: local` needs no Ray."
        ) from error
    atexit.register(stop_ray)
    return ray


def _own_paths() -> list[str]:
    """Where this process finds modules besides its installation: a workspace's own steps lie there."""
    installed = (sys.prefix, sys.base_prefix)
    return [path for path in sys.path if Path(path).is_dir() and not path.startswith(installed)]


def stop_ray() -> None:
    """Ends the Ray that this process started or leaves the one it joined."""
    import ray

    if ray.is_initialized():
        ray.shutdown()


def _apply(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(getattr(error, "cause", None), Exception) else error
        raise cause from None
    except ray.exceptions.RayError as error:
        raise ComputeError(
            f"A worker process died and its retries are used up: {str(error).splitlines()[0]} "
            "If it ran out of memory, lower compute.workers or compute.partition_megabytes."
        ) from error


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
