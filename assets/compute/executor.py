"""The one place that knows Ray: it maps a plain function over items, here or in worker processes.

One Ray is started per process, at first use, and serves all assets of the run. Results come back in the order of
completion with their index, so that progress is honest; callers put them in order. Tasks in flight are bounded, so that
a million partitions do not queue up at once.

Nothing waits for ever. A worker or a node that dies costs a repetition of its tasks, as often as `retries` allows.
Tasks that no living node has the resources for are an error: at once on a Ray of one's own, after a while on a cluster,
which may get its nodes back. No value of the environment is handed to Ray, which would log it.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from headwater.assets.compute.options import ComputeOptions
from headwater.assets.redaction import redact_error, redacted

Item = TypeVar("Item")
Result = TypeVar("Result")

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_task_oom_retries": "2",  # else a task that never fits into memory is begun again for ever
}
LOOK_SECONDS = 5.0  # how often it is asked whether a silent cluster can still do what it was given
PATIENCE_SECONDS = 300.0  # how long a cluster may lack nodes for it


class ComputeError(Exception):
    """A task failed for a reason of the machinery (a worker died, a cluster is out of reach); says what to do."""


class Executor(Protocol):
    """Maps a function over items."""

    name: str
    workers: int

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        waiting: Callable[[], None] | None = None,
        on_gpu: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        """Yields (index of the item, result) as results arrive; the first failure is raised.

        ``waiting`` is called now and then while others compute and nothing arrives. Only where the function can use a
        GPU (``on_gpu``) are the declared ones reserved.
        """
        ...


class LocalExecutor:
    """Runs everything in this process, in order."""

    name = "local"
    workers = 1

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        waiting: Callable[[], None] | None = None,
        on_gpu: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        """See :class:`Executor`."""
        for index, item in enumerate(items):
            yield index, function(item)


class RayExecutor:
    """Runs each item as a Ray task."""

    name = "ray"

    def __init__(self, options: ComputeOptions) -> None:
        self.options = options
        self.workers = options.workers or _cpus()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        waiting: Callable[[], None] | None = None,
        on_gpu: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        """See :class:`Executor`.

        Raises:
            ComputeError: a worker process died more often than ``retries`` allows, or no node can run the tasks.
        """
        demands = self._demands(self.options.gpus if on_gpu else 0)
        if len(items) <= 1 and not (demands["num_gpus"] or self.options.memory_gb or self.options.address):
            yield from LocalExecutor().map(function, items)  # nothing to share out: a small refresh starts no Ray
            return
        ray = start_ray(self.options)
        task = ray.remote(_apply).options(**demands)
        shared = ray.put(function)
        under_way: dict[Any, int] = {}
        upcoming = iter(enumerate(items))
        patience = _Patience(ray, demands, 0 if _is_own(self.options) else PATIENCE_SECONDS)
        try:
            while True:
                for index, item in upcoming:
                    under_way[task.remote(shared, item)] = index
                    if len(under_way) >= 2 * self.workers:
                        break
                if not under_way:
                    return
                done, _ = ray.wait(list(under_way), num_returns=1, timeout=LOOK_SECONDS)
                if done:
                    yield under_way.pop(done[0]), _result(ray, done[0])
                    continue
                patience.look()
                if waiting is not None:
                    waiting()
        finally:
            for reference in under_way:
                ray.cancel(reference, force=True)

    def _demands(self, gpus: float) -> dict[str, Any]:
        share = _cpus() / self.workers if self.options.workers else 0
        demands: dict[str, Any] = {
            "num_cpus": max(self.options.cpus, share) if share > 1 else self.options.cpus,
            "num_gpus": gpus,
            "max_retries": self.options.retries,
            "runtime_env": {"env_vars": {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}},
        }
        if self.options.memory_gb:
            demands["memory"] = int(self.options.memory_gb * 1e9)
        return demands


class _Patience:
    """Gives up on a cluster that has lacked a node for a task for too long."""

    def __init__(self, ray: Any, demands: dict[str, Any], seconds: float) -> None:
        self._ray, self._seconds = ray, seconds
        self._needs = {"CPU": demands["num_cpus"], "GPU": demands["num_gpus"], "memory": demands.get("memory", 0)}
        self._since: float | None = None

    def look(self) -> None:
        """Notes whether any living node is large enough for one task.

        Raises:
            ComputeError: none has been for as long as patience lasts.
        """
        now = time.monotonic()
        if any(self._fits(node["Resources"]) for node in self._ray.nodes() if node["Alive"]):
            self._since = None
            return
        self._since = now if self._since is None else self._since
        if now - self._since >= self._seconds:
            needs = ", ".join(
                f"{amount / 1e9:g} GB of memory" if name == "memory" else f"{amount:g} {name}"
                for name, amount in self._needs.items()
                if amount
            )
            raise ComputeError(
                f"No node of the Ray cluster can run a task that needs {needs}. Start nodes that "
                "can, or lower compute.cpus, compute.gpus or compute.memory_gb; a new run takes over what is finished."
            )

    def _fits(self, resources: dict[str, float]) -> bool:
        return all(resources.get(name, 0) >= amount for name, amount in self._needs.items() if amount)


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
    os.environ.update({name: os.environ.get(name, value) for name, value in _SETTINGS.items()})
    import ray

    if ray.is_initialized():
        return ray
    address = _address(options)
    arguments: dict[str, Any] = {"address": address, "logging_level": "ERROR", "log_to_driver": True}
    if address == "local":  # an address of its own, or Ray joins whatever cluster it finds on the machine
        arguments |= {"include_dashboard": False, "num_cpus": max(options.workers, _cpus())}
        arguments["runtime_env"] = {"env_vars": {"PYTHONPATH": os.pathsep.join(_own_paths())}}
    try:
        ray.init(**arguments)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ComputeError(
            f"Ray at '{redacted(address)}' cannot be reached ({redacted(_first_line(error))}). Check compute.address "
            "or RAY_ADDRESS; a shared cluster with tokens needs RAY_AUTH_MODE=token in this process. "
            "`engine: local` needs no Ray."
        ) from error
    atexit.register(stop_ray)
    return ray


def _address(options: ComputeOptions) -> str:
    return options.address or os.environ.get("RAY_ADDRESS") or "local"


def _is_own(options: ComputeOptions) -> bool:
    return _address(options) == "local"


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
    try:
        return function(item)
    except Exception as error:
        if (told := redact_error(error)) is not error:
            raise told from None
        raise


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(getattr(error, "cause", None), Exception) else error
        raise cause from None
    except ray.exceptions.OutOfMemoryError as error:
        raise ComputeError(
            "A task ran out of memory on its node, again after its retries. Lower compute.workers or "
            "compute.partition_megabytes, or reserve memory for each task (compute.memory_gb), so that fewer share a "
            "node; a new run takes over what is finished."
        ) from error
    except ray.exceptions.RayError as error:
        raise ComputeError(
            f"A worker process died and its retries are used up: {redacted(_first_line(error))} "
            "If it ran out of memory, lower compute.workers or compute.partition_megabytes."
        ) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
