"""The set-up of a worker process. (Its loop: tests/jobs/test_sweep.py, on real groups.)"""

from jobs.execution import worker
from jobs.execution.worker_config import WorkerConfig
from jobs.failures import preemption
from tests.jobs import synthetic


def test_a_worker_starts_where_the_driver_was_and_imports_the_function_it_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setattr(preemption, "install_handler", lambda: None)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: tmp_path.joinpath(str(threads)).touch())
    assert worker.set_up(WorkerConfig(out=tmp_path, home=tmp_path, threads=3, run_cell="tests.jobs.synthetic:run_cell")) is synthetic.run_cell
    assert tmp_path.joinpath("3").exists()
    assert tmp_path.samefile(".")
