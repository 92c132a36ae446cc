"""Early stops of a sweep on disk."""

from loretta_core.store.early_stops import EarlyStop, clear_early_stop, find_early_stops, read_early_stops, write_early_stop

STOP = EarlyStop(cell_id="0123", reason="others did better", points=((0.25, 0.5),), stopped_at="2026-01-02T03:04:05+00:00")


def test_written_read_and_cleared(tmp_path):
    assert read_early_stops(tmp_path, name="s") == {}
    write_early_stop(STOP, tmp_path, name="s")
    assert read_early_stops(tmp_path, name="s") == {"0123": STOP}
    assert read_early_stops(tmp_path, name="other") == {}
    clear_early_stop(tmp_path, name="s", cell_id="0123")
    clear_early_stop(tmp_path, name="s", cell_id="0123")  # and once more
    assert read_early_stops(tmp_path, name="s") == {}


def test_a_damaged_file_is_left_out(tmp_path):
    write_early_stop(STOP, tmp_path, name="s")
    (tmp_path / "sweeps" / "s" / "stopped" / "4567.json").write_text("{")
    assert list(read_early_stops(tmp_path, name="s")) == ["0123"]


def test_a_damaged_file_is_told_beside_the_others(tmp_path):
    write_early_stop(STOP, tmp_path, name="s")
    stopped = tmp_path / "sweeps" / "s" / "stopped"
    (stopped / "torn.json").write_text("{")
    (stopped / "dir.json").mkdir()
    found = find_early_stops(tmp_path, name="s")
    assert found.stops == {"0123": STOP}
    assert f"{stopped}/torn.json: damaged (not a complete note of an early stop)" in found.damaged["torn"]
    assert f"{stopped}/dir.json: damaged (cannot be read: Is a directory)" in found.damaged["dir"]
