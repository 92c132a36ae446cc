"""Samples of the machine while a cell trains for long."""

import time

import pytest

from jobs.tracking import system_metrics
from jobs.tracking.journal import Journal
from jobs.tracking.system_metrics import sampled


def test_a_long_cell_is_sampled_and_a_resumed_one_goes_on_counting(tmp_path, monkeypatch):
    monkeypatch.setattr(system_metrics, "AFTER_S", 0.0)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    path = tmp_path / "system.jsonl"
    for samples in (2, 4):
        with sampled(tmp_path):
            deadline = time.monotonic() + 20
            while (not path.is_file() or len(path.read_text().splitlines()) < samples) and time.monotonic() < deadline:
                time.sleep(0.01)
    points = [point for point in Journal(path).new_points() if point.name == "system/cpu_utilization_percentage"]
    assert len(points) >= 4
    assert [point.step for point in points] == list(range(len(points)))


@pytest.mark.parametrize("after_s", [60.0, 0.0])
def test_short_cells_and_whoever_turns_it_off_have_none(after_s, tmp_path, monkeypatch):
    monkeypatch.setattr(system_metrics, "AFTER_S", after_s)
    if not after_s:
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    with sampled(tmp_path):
        pass
    time.sleep(0.05)
    assert not list(tmp_path.iterdir())
