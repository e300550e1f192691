"""How a step is computed. Nothing here takes part in an identity: the rows are the same whatever is chosen."""

from typing import Literal

from pydantic import Field

from headwater.models.options import Options

LEAST_TASKS = 16  # that a large step is cut into
LEAST_MEGABYTES, MOST_MEGABYTES = 8, 24  # of a task


class ComputeOptions(Options):
    """Where and with how much a step runs."""

    engine: Literal["ray", "local"] = Field(
        "ray", description="ray: tasks in worker processes, on this machine or a cluster; local: in this process."
    )
    workers: int = Field(0, ge=0, description="Tasks at once; 0 means as many as there are CPUs.")
    address: str | None = Field(
        None, description="Ray cluster to join (as in RAY_ADDRESS, which is used when this is empty); none: start one."
    )
    cpus: float = Field(1, gt=0, description="CPUs reserved for each task.")
    gpus: float = Field(0, ge=0, description="GPUs reserved for each task that can use one, or training worker.")
    memory_gb: float | None = Field(None, gt=0, description="Memory reserved for each task, in GB.")
    retries: int = Field(2, ge=0, description="How often a task is repeated when its worker process dies.")
    partition_megabytes: float | None = Field(
        None, gt=0, description="Source bytes in one task, in MB; none: 8, and up to 24 where 16 tasks are left."
    )
    pool: str | None = Field(None, description="Dagster concurrency pool that the assets of this component share.")

    def partition_bytes(self, total: float) -> int:
        """Source bytes in one task of a step over so many.

        A task writes a piece of every table, and reading a column goes through all of them: fewer are quicker to follow
        ever after, as long as there are enough to share out and each fits into the memory of a worker.
        """
        megabytes = self.partition_megabytes or min(max(total / 1e6 / LEAST_TASKS, LEAST_MEGABYTES), MOST_MEGABYTES)
        return int(megabytes * 1e6)
