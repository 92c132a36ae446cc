"""One worker group from its start to its end: an actor where one process is enough, a Ray Train worker group where there are several.

Ray Train brings up process groups on any number of nodes, which a group of one process does not need. Its controller, its helpers (five processes, each with
imports of its own) and its placement group would take longer to start than the worker: 12 s of CPU of 44 s until the first step.
"""

from __future__ import annotations

from pathlib import Path

import ray
import ray.exceptions

from jobs.execution.worker_config import WorkerJob
from jobs.scheduling.resources import WorkerGroupSpec

START_S = 100.0
"""Time that a group has to start, as long as RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S of `ray_session.py`; less than `train_executor.CLOSE_S`: the end of a sweep
waits for it."""


class GroupLost(Exception):
    """A process of a worker group died, or the group could not start; `error` is what Ray says."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def run_group(shape: WorkerGroupSpec, job: WorkerJob, *, storage: Path) -> None:
    """Form a group and wait until the queue tells it to stop. Raises GroupLost.

    Args:
        storage: directory for Ray Train's own bookkeeping.
    """
    if shape.workers == 1:
        _run_process(shape, job)
    else:
        _run_train(shape, job, storage=storage)


class CellWorker:
    """The actor that is a group of one process."""

    def start(self) -> None:
        """Answer that the process is there."""

    def work(self, job: WorkerJob) -> None:
        """Compute cells until the queue says stop."""
        from jobs.execution.worker import work_alone  # and torch, in this process only

        work_alone(job)


def _run_process(shape: WorkerGroupSpec, job: WorkerJob) -> None:
    resources = shape.worker_resources
    worker = ray.remote(CellWorker).options(num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0)).remote()
    try:
        ray.get(worker.start.remote(), timeout=START_S)
        ray.get(worker.work.remote(job))
    except ray.exceptions.RayError as error:
        ray.kill(worker)
        raise GroupLost(error) from error


def _run_train(shape: WorkerGroupSpec, job: WorkerJob, *, storage: Path) -> None:
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer  # torch, too: seconds that sweeps of small groups do without

    from jobs.execution.worker import work

    trainer = TorchTrainer(
        work,
        train_loop_config=job,
        torch_config=TorchConfig(backend="gloo" if shape.gpus == 0 else None),
        scaling_config=ray.train.ScalingConfig(num_workers=shape.workers, use_gpu=shape.gpus > 0, resources_per_worker=shape.worker_resources),
        run_config=ray.train.RunConfig(
            name=job["group"],
            storage_path=str(storage),
            failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    try:
        trainer.fit()
    except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
        raise GroupLost(error) from error
